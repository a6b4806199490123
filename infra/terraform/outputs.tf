output "cluster_settings" {
  description = "First lines of infra/k8s/overlays/gke/settings.env; add the images and the champion."
  value       = <<-EOT
    project=${var.project}
    mlflow_account=${google_service_account.this["mlflow"].email}
    mlflow_secrets_account=${google_service_account.this["mlflow-secrets"].email}
    training_account=${google_service_account.this["gan-training"].email}
    predictor_account=${google_service_account.this["gan-predictor"].email}
    release_account=${google_service_account.this["gan-release"].email}
    artifact_root=gs://${google_storage_bucket.this["artifacts"].name}/mlflow
    backup_root=gs://${google_storage_bucket.this["backups"].name}/mlflow
    database_cidr=${local.database_cidr}
    kubernetes_api_cidr=${local.control_plane_cidr}
    outside_cidr=192.0.2.1/32
  EOT
}

output "get_credentials" {
  description = "Command that configures kubectl for the cluster."
  value       = "gcloud container clusters get-credentials ${google_container_cluster.this.name} --location ${google_container_cluster.this.location} --project ${var.project} --dns-endpoint"
}

output "images" {
  description = "Address to push images to; append a slash and the image's name."
  value       = "${var.region}-docker.pkg.dev/${var.project}/${google_artifact_registry_repository.this.repository_id}"
}

output "buckets" {
  description = "Buckets by their content."
  value       = { for name, bucket in google_storage_bucket.this : name => "gs://${bucket.name}" }
}

output "kfp_ui_account" {
  description = "Account with which KFP's pages read artifacts; annotate the Kubernetes account kubeflow/ml-pipeline-ui with it."
  value       = google_service_account.this["gan-kfp-ui"].email
}

output "release_variables" {
  description = "Variables of the GitHub environment `release`, for .github/workflows/release.yml."
  value = {
    CLUSTER           = google_container_cluster.this.name
    CLUSTER_LOCATION  = google_container_cluster.this.location
    IDENTITY_PROVIDER = google_iam_workload_identity_pool_provider.github.name
    IMAGES            = "${var.region}-docker.pkg.dev/${var.project}/${google_artifact_registry_repository.this.repository_id}"
    PROJECT           = var.project
    SERVICE_ACCOUNT   = google_service_account.this["gan-release"].email
  }
}
