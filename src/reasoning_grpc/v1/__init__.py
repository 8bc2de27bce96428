"""The generated stubs of the API, written by `make generate`: messages in `*_pb2`, the service in `*_pb2_grpc`."""
