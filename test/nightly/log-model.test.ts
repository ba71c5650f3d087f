// The model of crashing, sleeping, lying writers, over many more seeds than `npm test` has time for.
process.env.LONGSHORE_MODEL_SEEDS ??= '600'
await import('../sync/log-model.test.ts')
