locals {
  # Days after which an object is deleted; null keeps it. Every bucket keeps replaced or deleted versions for 30 days.
  buckets = {
    data        = null # the DVC remote
    artifacts   = null # MLflow's artifacts and the pipelines' outputs
    checkpoints = 30   # of trainings; the model of a finished training is among the artifacts
    backups     = 90   # of MLflow's database
  }
}

resource "google_storage_bucket" "this" {
  for_each = local.buckets

  name                        = "${var.project}-gan-${each.key}"
  location                    = var.region
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"
  force_destroy               = false

  versioning {
    enabled = true
  }

  lifecycle_rule {
    action {
      type = "Delete"
    }
    condition {
      days_since_noncurrent_time = 30
      with_state                 = "ARCHIVED"
    }
  }

  lifecycle_rule {
    action {
      type = "AbortIncompleteMultipartUpload"
    }
    condition {
      age = 7
    }
  }

  dynamic "lifecycle_rule" {
    for_each = each.value == null ? [] : [each.value]
    content {
      action {
        type = "Delete"
      }
      condition {
        age = lifecycle_rule.value
      }
    }
  }

  depends_on = [google_project_service.this]
}

resource "google_artifact_registry_repository" "this" {
  repository_id = "gan"
  location      = var.region
  format        = "DOCKER"

  docker_config {
    immutable_tags = true
  }

  depends_on = [google_project_service.this]
}
