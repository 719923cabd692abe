"""The verbs of slotfeed in plain Python: collect, validate, convert, deliver, reconcile."""
