"""How many fronts and runner replicas a load needs: a simulation fed with measured service times. `python -m benchmarks capacity`."""
