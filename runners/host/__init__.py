"""The process around a backend: call queue, batches, model cache, weights, memory; and the patches of BentoML for it."""
