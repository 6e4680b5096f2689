"""The runners: one file per backend, a plain class first, its BentoML service last."""
