locals {
  # infra/k8s/overlays/gke gets these through the output cluster_settings, for its network policies.
  nodes_cidr         = "10.10.0.0/20"
  pods_cidr          = "10.64.0.0/14"
  services_cidr      = "10.16.0.0/20"
  control_plane_cidr = "10.20.0.0/28"
  database_cidr      = "10.30.0.0/24"
}

resource "google_compute_network" "this" {
  name                    = "gan"
  auto_create_subnetworks = false

  depends_on = [google_project_service.this]
}

resource "google_compute_subnetwork" "this" {
  name                     = "gan"
  region                   = var.region
  network                  = google_compute_network.this.id
  ip_cidr_range            = local.nodes_cidr
  private_ip_google_access = true

  secondary_ip_range {
    range_name    = "pods"
    ip_cidr_range = local.pods_cidr
  }

  secondary_ip_range {
    range_name    = "services"
    ip_cidr_range = local.services_cidr
  }
}

# Nodes have no public address; they pull images of other registries through this gateway.
resource "google_compute_router" "this" {
  name    = "gan"
  region  = var.region
  network = google_compute_network.this.id
}

resource "google_compute_router_nat" "this" {
  name                               = "gan"
  region                             = var.region
  router                             = google_compute_router.this.name
  nat_ip_allocate_option             = "AUTO_ONLY"
  source_subnetwork_ip_ranges_to_nat = "ALL_SUBNETWORKS_ALL_IP_RANGES"
}

# Google's APIs have one small range of addresses inside this network, so that a network policy can name it.
resource "google_dns_managed_zone" "googleapis" {
  name       = "googleapis"
  dns_name   = "googleapis.com."
  visibility = "private"

  private_visibility_config {
    networks {
      network_url = google_compute_network.this.id
    }
  }

  depends_on = [google_project_service.this]
}

resource "google_dns_record_set" "private_googleapis" {
  managed_zone = google_dns_managed_zone.googleapis.name
  name         = "private.googleapis.com."
  type         = "A"
  ttl          = 300
  rrdatas      = ["199.36.153.8", "199.36.153.9", "199.36.153.10", "199.36.153.11"]
}

resource "google_dns_record_set" "googleapis" {
  managed_zone = google_dns_managed_zone.googleapis.name
  name         = "*.googleapis.com."
  type         = "CNAME"
  ttl          = 300
  rrdatas      = ["private.googleapis.com."]
}

# The range in which Cloud SQL gets its private address.
resource "google_compute_global_address" "database" {
  name          = "gan-database"
  purpose       = "VPC_PEERING"
  address_type  = "INTERNAL"
  address       = cidrhost(local.database_cidr, 0)
  prefix_length = tonumber(split("/", local.database_cidr)[1])
  network       = google_compute_network.this.id
}

resource "google_service_networking_connection" "database" {
  network                 = google_compute_network.this.id
  service                 = "servicenetworking.googleapis.com"
  reserved_peering_ranges = [google_compute_global_address.database.name]

  depends_on = [google_project_service.this]
}

# The control plane calls admission webhooks on the nodes; Google opens only 443 and 10250 by itself.
resource "google_compute_firewall" "webhooks" {
  name          = "gan-webhooks"
  network       = google_compute_network.this.id
  source_ranges = [local.control_plane_cidr]

  allow {
    protocol = "tcp"
    ports    = ["8443", "9443"] # KFP's cache, KServe
  }
}
