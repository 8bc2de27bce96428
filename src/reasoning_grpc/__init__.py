"""One typed endpoint for language models over gRPC."""
