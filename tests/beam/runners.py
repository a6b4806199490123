"""The options of Beam's runners on this machine."""

IN_PROCESS = ["--runner", "FnApiRunner"]
TWO_PROCESSES = [*IN_PROCESS, "--direct_running_mode", "multi_processing", "--direct_num_workers", "2"]
