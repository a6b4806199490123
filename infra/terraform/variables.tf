variable "project" {
  description = "Google Cloud project of all resources."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{4,28}[a-z0-9]$", var.project))
    error_message = "The project must be a project id: 6 to 30 lower-case letters, digits and hyphens."
  }
}

variable "region" {
  description = "Region of the network, the buckets, the registry and the database."
  type        = string

  validation {
    condition     = can(regex("^[a-z]+-[a-z]+[0-9]+$", var.region))
    error_message = "The region must look like europe-west4."
  }
}

variable "zones" {
  description = "Zones of the cluster: one makes a zonal cluster, several a regional one."
  type        = list(string)

  validation {
    condition     = length(var.zones) > 0 && alltrue([for zone in var.zones : can(regex("^[a-z]+-[a-z]+[0-9]+-[a-z]$", zone))])
    error_message = "The zones must be at least one, each like europe-west4-a."
  }
}

variable "protect" {
  description = "Whether Terraform refuses to delete the cluster and the database."
  type        = bool
}

variable "cpu_machine_type" {
  description = "Machine type of the ordinary nodes."
  type        = string
}

variable "cpu_nodes_max" {
  description = "Maximum number of ordinary nodes in a zone; the minimum is one."
  type        = number

  validation {
    condition     = var.cpu_nodes_max >= 1 && floor(var.cpu_nodes_max) == var.cpu_nodes_max
    error_message = "cpu_nodes_max must be a whole number of at least 1."
  }
}

variable "gpu_machine_type" {
  description = "Machine type of the GPU spot nodes."
  type        = string
}

variable "gpu_type" {
  description = "Accelerator of the GPU spot nodes; infra/profiles and infra/k8s/components/gpu-spot select it by this name."
  type        = string

  validation {
    condition     = startswith(var.gpu_type, "nvidia-")
    error_message = "gpu_type must be an NVIDIA accelerator's name in Google Cloud, like nvidia-l4."
  }
}

variable "gpu_nodes_max" {
  description = "Maximum number of GPU spot nodes in a zone; there are none while no step requests one."
  type        = number

  validation {
    condition     = var.gpu_nodes_max >= 1 && floor(var.gpu_nodes_max) == var.gpu_nodes_max
    error_message = "gpu_nodes_max must be a whole number of at least 1."
  }
}

variable "database_tier" {
  description = "Machine tier of MLflow's database."
  type        = string

  validation {
    condition     = startswith(var.database_tier, "db-")
    error_message = "database_tier must be a Cloud SQL tier, like db-custom-1-3840."
  }
}

variable "database_highly_available" {
  description = "Whether MLflow's database has a standby in another zone."
  type        = bool
}

variable "database_password_version" {
  description = "Raise it by one to give MLflow's database a new password."
  type        = number

  validation {
    condition     = var.database_password_version >= 1 && floor(var.database_password_version) == var.database_password_version
    error_message = "database_password_version must be a whole number of at least 1."
  }
}

variable "github_repository" {
  description = "owner/name of the repository whose release workflow may push images and apply schedules."
  type        = string

  validation {
    condition     = can(regex("^[A-Za-z0-9-]+/[A-Za-z0-9._-]+$", var.github_repository))
    error_message = "github_repository must be owner/name."
  }
}

variable "billing_account" {
  description = "Billing account the budget watches."
  type        = string

  validation {
    condition     = can(regex("^[0-9A-F]{6}-[0-9A-F]{6}-[0-9A-F]{6}$", var.billing_account))
    error_message = "billing_account must look like 0A1B2C-3D4E5F-678901."
  }
}

variable "budget_currency" {
  description = "Currency of the billing account."
  type        = string

  validation {
    condition     = can(regex("^[A-Z]{3}$", var.budget_currency))
    error_message = "budget_currency must be a three-letter code, like EUR."
  }
}

variable "budget_per_month" {
  description = "Monthly budget, in its currency; the alert at 100 % is sent at this spending."
  type        = number

  validation {
    condition     = var.budget_per_month >= 1 && floor(var.budget_per_month) == var.budget_per_month
    error_message = "budget_per_month must be a whole number of at least 1."
  }
}

variable "alert_email" {
  description = "Address that the budget's alerts are sent to."
  type        = string

  validation {
    condition     = can(regex("^[^@ ]+@[^@ ]+$", var.alert_email))
    error_message = "alert_email must be an e-mail address."
  }
}
