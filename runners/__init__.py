"""The runners: one file per backend, with its class first and its BentoML service last."""
