locals {
  # Google service account = the Kubernetes service account that may act as it (namespace/name), or null.
  accounts = {
    gan-nodes         = null
    gan-release       = null
    gan-training      = "kubeflow/gan-training"
    gan-training-host = "kubeflow/gan-training-host"
    gan-kfp-ui        = "kubeflow/ml-pipeline-ui"
    gan-predictor     = "gan-serving/gan-predictor"
    mlflow            = "mlflow/mlflow"
    mlflow-secrets    = "mlflow/mlflow-secrets"
  }

  bucket_roles = {
    training_data        = { account = "gan-training", bucket = "data", role = "roles/storage.objectViewer" }
    training_artifacts   = { account = "gan-training", bucket = "artifacts", role = "roles/storage.objectUser" }
    training_checkpoints = { account = "gan-training", bucket = "checkpoints", role = "roles/storage.objectUser" }
    host_artifacts       = { account = "gan-training-host", bucket = "artifacts", role = "roles/storage.objectUser" }
    host_checkpoints     = { account = "gan-training-host", bucket = "checkpoints", role = "roles/storage.objectUser" }
    pages_artifacts      = { account = "gan-kfp-ui", bucket = "artifacts", role = "roles/storage.objectViewer" }
    predictor_artifacts  = { account = "gan-predictor", bucket = "artifacts", role = "roles/storage.objectViewer" }
    # The server only shows artifacts; clients write them. A backup can be added, but not changed or deleted.
    mlflow_artifacts = { account = "mlflow", bucket = "artifacts", role = "roles/storage.objectViewer" }
    mlflow_backups   = { account = "mlflow", bucket = "backups", role = "roles/storage.objectCreator" }
  }
}

resource "google_service_account" "this" {
  for_each = local.accounts

  account_id = each.key

  depends_on = [google_project_service.this]
}

resource "google_service_account_iam_member" "workload_identity" {
  for_each = { for account, kubernetes in local.accounts : account => kubernetes if kubernetes != null }

  service_account_id = google_service_account.this[each.key].name
  role               = "roles/iam.workloadIdentityUser"
  member             = "serviceAccount:${var.project}.svc.id.goog[${each.value}]"

  depends_on = [google_container_cluster.this] # it creates the workload pool
}

resource "google_storage_bucket_iam_member" "this" {
  for_each = local.bucket_roles

  bucket = google_storage_bucket.this[each.value.bucket].name
  role   = each.value.role
  member = google_service_account.this[each.value.account].member
}

resource "google_secret_manager_secret_iam_member" "database_uri" {
  secret_id = google_secret_manager_secret.database_uri.id
  role      = "roles/secretmanager.secretAccessor"
  member    = google_service_account.this["mlflow-secrets"].member
}

resource "google_project_iam_member" "nodes" {
  project = var.project
  role    = "roles/container.defaultNodeServiceAccount"
  member  = google_service_account.this["gan-nodes"].member
}

resource "google_artifact_registry_repository_iam_member" "this" {
  for_each = {
    gan-nodes   = "roles/artifactregistry.reader"
    gan-release = "roles/artifactregistry.writer"
  }

  location   = google_artifact_registry_repository.this.location
  repository = google_artifact_registry_repository.this.name
  role       = each.value
  member     = google_service_account.this[each.key].member
}

# Lets the release connect to the cluster. infra/k8s/overlays/gke/release-rbac.yaml lists what it may do inside.
resource "google_project_iam_custom_role" "connect" {
  role_id     = "ganClusterConnect"
  title       = "Connect to the cluster"
  permissions = ["container.clusters.connect", "container.clusters.get"]
}

resource "google_project_iam_member" "release_connect" {
  project = var.project
  role    = google_project_iam_custom_role.connect.id
  member  = google_service_account.this["gan-release"].member
}

# GitHub's token proves where the release workflow runs, so there is no key to keep.
resource "google_iam_workload_identity_pool" "github" {
  workload_identity_pool_id = "github"

  depends_on = [google_project_service.this]
}

resource "google_iam_workload_identity_pool_provider" "github" {
  workload_identity_pool_id          = google_iam_workload_identity_pool.github.workload_identity_pool_id
  workload_identity_pool_provider_id = "github"
  attribute_condition                = "assertion.repository == '${var.github_repository}' && assertion.environment == 'release'"
  attribute_mapping = {
    "google.subject"       = "assertion.sub"
    "attribute.repository" = "assertion.repository"
  }

  oidc {
    issuer_uri = "https://token.actions.githubusercontent.com"
  }
}

resource "google_service_account_iam_member" "github_release" {
  service_account_id = google_service_account.this["gan-release"].name
  role               = "roles/iam.workloadIdentityUser"
  member             = "principalSet://iam.googleapis.com/${google_iam_workload_identity_pool.github.name}/attribute.repository/${var.github_repository}"
}
