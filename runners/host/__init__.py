"""The process around a backend: call queue, batches, model cache, weights, memory; and what is changed in BentoML for it."""
