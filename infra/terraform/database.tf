resource "google_sql_database_instance" "mlflow" {
  name                = "mlflow"
  region              = var.region
  database_version    = "POSTGRES_15" # infra/mlflow/Dockerfile has the pg_dump of the same major version
  deletion_protection = var.protect

  settings {
    edition           = "ENTERPRISE"
    tier              = var.database_tier
    availability_type = var.database_highly_available ? "REGIONAL" : "ZONAL"
    disk_autoresize   = true

    ip_configuration {
      ipv4_enabled       = false
      private_network    = google_compute_network.this.id
      allocated_ip_range = google_compute_global_address.database.name
      ssl_mode           = "ENCRYPTED_ONLY"
    }

    backup_configuration {
      enabled                        = true
      start_time                     = "03:00"
      point_in_time_recovery_enabled = true

      backup_retention_settings {
        retained_backups = 14
      }
    }
  }

  depends_on = [google_service_networking_connection.database]
}

resource "google_sql_database" "mlflow" {
  name     = "mlflow"
  instance = google_sql_database_instance.mlflow.name
}

# A new password is drawn in every run, but written only when its version is raised. It is never in the state.
ephemeral "random_password" "database" {
  length  = 32
  special = false # it is part of an address
}

resource "google_sql_user" "mlflow" {
  name                = "mlflow"
  instance            = google_sql_database_instance.mlflow.name
  password_wo         = ephemeral.random_password.database.result
  password_wo_version = var.database_password_version
}

resource "google_secret_manager_secret" "database_uri" {
  secret_id = "mlflow-database-uri"

  replication {
    auto {}
  }

  depends_on = [google_project_service.this]
}

resource "google_secret_manager_secret_version" "database_uri" {
  secret                 = google_secret_manager_secret.database_uri.id
  secret_data_wo_version = var.database_password_version
  secret_data_wo = format(
    "postgresql://%s:%s@%s:5432/%s?sslmode=require",
    google_sql_user.mlflow.name,
    ephemeral.random_password.database.result,
    google_sql_database_instance.mlflow.private_ip_address,
    google_sql_database.mlflow.name,
  )
}
