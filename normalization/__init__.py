"""Records of source systems in one canonical form: formats, mappings, functions. Pure: no Kafka, no HTTP."""
