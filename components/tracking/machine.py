"""Reads the state of the machine that trains, under the names of MLflow's system metrics."""

from __future__ import annotations


class Machine:
    """Reads MLflow's system metrics. MLflow's own monitor would stop if the server did not answer."""

    def __init__(self) -> None:
        from mlflow.system_metrics.metrics.cpu_monitor import CPUMonitor
        from mlflow.system_metrics.metrics.disk_monitor import DiskMonitor
        from mlflow.system_metrics.metrics.gpu_monitor import GPUMonitor
        from mlflow.system_metrics.metrics.network_monitor import NetworkMonitor

        self._monitors = [CPUMonitor(), DiskMonitor(), NetworkMonitor()]
        try:
            self._monitors.append(GPUMonitor())
        except (ImportError, RuntimeError):  # raised if there is no NVIDIA GPU
            return

    def read(self) -> dict[str, float]:
        """Returns the current readings by metric name."""
        figures = {}
        for monitor in self._monitors:
            monitor.collect_metrics()
            figures.update(monitor.aggregate_metrics())
            monitor.clear_metrics()
        return {f"system/{name}": value for name, value in figures.items()}
