package io.github.reasoninggrpc;

import com.google.rpc.Status;
import io.github.reasoninggrpc.v1.CompleteRequest;
import io.github.reasoninggrpc.v1.CompleteResponse;
import io.github.reasoninggrpc.v1.ReasoningServiceGrpc;
import io.grpc.Metadata;
import io.grpc.protobuf.StatusProto;
import io.grpc.stub.StreamObserver;

/** A service whose first calls fail with a status, and whose later calls return an empty answer. */
final class FailingService extends ReasoningServiceGrpc.ReasoningServiceImplBase {
  private final Status status;
  private final Metadata trailers;
  private int failures;

  FailingService(int failures, Status status, Metadata trailers) {
    this.failures = failures;
    this.status = status;
    this.trailers = trailers;
  }

  @Override
  public synchronized void complete(
      CompleteRequest request, StreamObserver<CompleteResponse> response) {
    failures -= 1;
    if (failures >= 0) {
      response.onError(StatusProto.toStatusRuntimeException(status, trailers));
      return;
    }
    response.onNext(CompleteResponse.getDefaultInstance());
    response.onCompleted();
  }
}
