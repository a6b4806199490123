resource "google_container_cluster" "this" {
  name                     = "gan"
  location                 = length(var.zones) == 1 ? var.zones[0] : var.region
  node_locations           = length(var.zones) == 1 ? null : var.zones
  network                  = google_compute_network.this.id
  subnetwork               = google_compute_subnetwork.this.id
  deletion_protection      = var.protect
  remove_default_node_pool = true
  initial_node_count       = 1
  datapath_provider        = "ADVANCED_DATAPATH" # enforces network policies

  release_channel {
    channel = "REGULAR"
  }

  ip_allocation_policy {
    cluster_secondary_range_name  = "pods"
    services_secondary_range_name = "services"
  }

  private_cluster_config {
    enable_private_nodes    = true
    enable_private_endpoint = true
    master_ipv4_cidr_block  = local.control_plane_cidr
  }

  # People and the release workflow connect by DNS name. IAM decides who may connect, and RBAC what each may do.
  control_plane_endpoints_config {
    dns_endpoint_config {
      allow_external_traffic = true
    }
  }

  master_authorized_networks_config {}

  workload_identity_config {
    workload_pool = "${var.project}.svc.id.goog"
  }

  # For the pool that is removed at once; otherwise it would need the project's default account.
  node_config {
    service_account = google_service_account.this["gan-nodes"].email
  }

  lifecycle {
    ignore_changes = [node_config]
  }

  depends_on = [google_project_service.this]
}

resource "google_container_node_pool" "cpu" {
  name     = "cpu"
  cluster  = google_container_cluster.this.id
  location = google_container_cluster.this.location

  autoscaling {
    min_node_count = 1
    max_node_count = var.cpu_nodes_max
  }

  management {
    auto_repair  = true
    auto_upgrade = true
  }

  node_config {
    machine_type    = var.cpu_machine_type
    disk_size_gb    = 100
    service_account = google_service_account.this["gan-nodes"].email
    oauth_scopes    = ["https://www.googleapis.com/auth/cloud-platform"]

    shielded_instance_config {
      enable_secure_boot          = true
      enable_integrity_monitoring = true
    }

    workload_metadata_config {
      mode = "GKE_METADATA"
    }
  }
}

# GKE labels these nodes cloud.google.com/gke-spot and cloud.google.com/gke-accelerator, and taints them nvidia.com/gpu.
resource "google_container_node_pool" "gpu_spot" {
  name               = "gpu-spot"
  cluster            = google_container_cluster.this.id
  location           = google_container_cluster.this.location
  initial_node_count = 0

  autoscaling {
    min_node_count  = 0
    max_node_count  = var.gpu_nodes_max
    location_policy = "ANY" # wherever there is spot capacity
  }

  management {
    auto_repair  = true
    auto_upgrade = true
  }

  node_config {
    machine_type    = var.gpu_machine_type
    spot            = true
    disk_size_gb    = 100
    service_account = google_service_account.this["gan-nodes"].email
    oauth_scopes    = ["https://www.googleapis.com/auth/cloud-platform"]

    guest_accelerator {
      type  = var.gpu_type
      count = 1

      gpu_driver_installation_config {
        gpu_driver_version = "DEFAULT"
      }
    }

    shielded_instance_config {
      enable_secure_boot          = true
      enable_integrity_monitoring = true
    }

    workload_metadata_config {
      mode = "GKE_METADATA"
    }
  }
}
