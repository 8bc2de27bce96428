package io.github.reasoninggrpc.v1;

import static io.grpc.MethodDescriptor.generateFullMethodName;

/**
 * <pre>
 * One endpoint for language models: it decides how a request is served, serves
 * it, and says truthfully how the answer ended.
 * Failures are gRPC statuses. Each carries a `google.rpc.ErrorInfo` with domain
 * "reasoning-grpc" and a reason from `ErrorReason`, and a
 * `google.rpc.RequestInfo`; see errors.proto.
 * </pre>
 */
@io.grpc.stub.annotations.GrpcGenerated
public final class ReasoningServiceGrpc {

  private ReasoningServiceGrpc() {}

  public static final java.lang.String SERVICE_NAME = "reasoning_grpc.v1.ReasoningService";

  // Static method descriptors that strictly reflect the proto.
  private static volatile io.grpc.MethodDescriptor<io.github.reasoninggrpc.v1.CompleteRequest,
      io.github.reasoninggrpc.v1.CompleteResponse> getCompleteMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "Complete",
      requestType = io.github.reasoninggrpc.v1.CompleteRequest.class,
      responseType = io.github.reasoninggrpc.v1.CompleteResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<io.github.reasoninggrpc.v1.CompleteRequest,
      io.github.reasoninggrpc.v1.CompleteResponse> getCompleteMethod() {
    io.grpc.MethodDescriptor<io.github.reasoninggrpc.v1.CompleteRequest, io.github.reasoninggrpc.v1.CompleteResponse> getCompleteMethod;
    if ((getCompleteMethod = ReasoningServiceGrpc.getCompleteMethod) == null) {
      synchronized (ReasoningServiceGrpc.class) {
        if ((getCompleteMethod = ReasoningServiceGrpc.getCompleteMethod) == null) {
          ReasoningServiceGrpc.getCompleteMethod = getCompleteMethod =
              io.grpc.MethodDescriptor.<io.github.reasoninggrpc.v1.CompleteRequest, io.github.reasoninggrpc.v1.CompleteResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "Complete"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.reasoninggrpc.v1.CompleteRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.reasoninggrpc.v1.CompleteResponse.getDefaultInstance()))
              .setSchemaDescriptor(new ReasoningServiceMethodDescriptorSupplier("Complete"))
              .build();
        }
      }
    }
    return getCompleteMethod;
  }

  private static volatile io.grpc.MethodDescriptor<io.github.reasoninggrpc.v1.StreamCompleteRequest,
      io.github.reasoninggrpc.v1.StreamCompleteResponse> getStreamCompleteMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "StreamComplete",
      requestType = io.github.reasoninggrpc.v1.StreamCompleteRequest.class,
      responseType = io.github.reasoninggrpc.v1.StreamCompleteResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.SERVER_STREAMING)
  public static io.grpc.MethodDescriptor<io.github.reasoninggrpc.v1.StreamCompleteRequest,
      io.github.reasoninggrpc.v1.StreamCompleteResponse> getStreamCompleteMethod() {
    io.grpc.MethodDescriptor<io.github.reasoninggrpc.v1.StreamCompleteRequest, io.github.reasoninggrpc.v1.StreamCompleteResponse> getStreamCompleteMethod;
    if ((getStreamCompleteMethod = ReasoningServiceGrpc.getStreamCompleteMethod) == null) {
      synchronized (ReasoningServiceGrpc.class) {
        if ((getStreamCompleteMethod = ReasoningServiceGrpc.getStreamCompleteMethod) == null) {
          ReasoningServiceGrpc.getStreamCompleteMethod = getStreamCompleteMethod =
              io.grpc.MethodDescriptor.<io.github.reasoninggrpc.v1.StreamCompleteRequest, io.github.reasoninggrpc.v1.StreamCompleteResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.SERVER_STREAMING)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "StreamComplete"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.reasoninggrpc.v1.StreamCompleteRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.reasoninggrpc.v1.StreamCompleteResponse.getDefaultInstance()))
              .setSchemaDescriptor(new ReasoningServiceMethodDescriptorSupplier("StreamComplete"))
              .build();
        }
      }
    }
    return getStreamCompleteMethod;
  }

  private static volatile io.grpc.MethodDescriptor<io.github.reasoninggrpc.v1.ClassifyRequest,
      io.github.reasoninggrpc.v1.ClassifyResponse> getClassifyMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "Classify",
      requestType = io.github.reasoninggrpc.v1.ClassifyRequest.class,
      responseType = io.github.reasoninggrpc.v1.ClassifyResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<io.github.reasoninggrpc.v1.ClassifyRequest,
      io.github.reasoninggrpc.v1.ClassifyResponse> getClassifyMethod() {
    io.grpc.MethodDescriptor<io.github.reasoninggrpc.v1.ClassifyRequest, io.github.reasoninggrpc.v1.ClassifyResponse> getClassifyMethod;
    if ((getClassifyMethod = ReasoningServiceGrpc.getClassifyMethod) == null) {
      synchronized (ReasoningServiceGrpc.class) {
        if ((getClassifyMethod = ReasoningServiceGrpc.getClassifyMethod) == null) {
          ReasoningServiceGrpc.getClassifyMethod = getClassifyMethod =
              io.grpc.MethodDescriptor.<io.github.reasoninggrpc.v1.ClassifyRequest, io.github.reasoninggrpc.v1.ClassifyResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "Classify"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.reasoninggrpc.v1.ClassifyRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.reasoninggrpc.v1.ClassifyResponse.getDefaultInstance()))
              .setSchemaDescriptor(new ReasoningServiceMethodDescriptorSupplier("Classify"))
              .build();
        }
      }
    }
    return getClassifyMethod;
  }

  private static volatile io.grpc.MethodDescriptor<io.github.reasoninggrpc.v1.ListModelsRequest,
      io.github.reasoninggrpc.v1.ListModelsResponse> getListModelsMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "ListModels",
      requestType = io.github.reasoninggrpc.v1.ListModelsRequest.class,
      responseType = io.github.reasoninggrpc.v1.ListModelsResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<io.github.reasoninggrpc.v1.ListModelsRequest,
      io.github.reasoninggrpc.v1.ListModelsResponse> getListModelsMethod() {
    io.grpc.MethodDescriptor<io.github.reasoninggrpc.v1.ListModelsRequest, io.github.reasoninggrpc.v1.ListModelsResponse> getListModelsMethod;
    if ((getListModelsMethod = ReasoningServiceGrpc.getListModelsMethod) == null) {
      synchronized (ReasoningServiceGrpc.class) {
        if ((getListModelsMethod = ReasoningServiceGrpc.getListModelsMethod) == null) {
          ReasoningServiceGrpc.getListModelsMethod = getListModelsMethod =
              io.grpc.MethodDescriptor.<io.github.reasoninggrpc.v1.ListModelsRequest, io.github.reasoninggrpc.v1.ListModelsResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "ListModels"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.reasoninggrpc.v1.ListModelsRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.reasoninggrpc.v1.ListModelsResponse.getDefaultInstance()))
              .setSchemaDescriptor(new ReasoningServiceMethodDescriptorSupplier("ListModels"))
              .build();
        }
      }
    }
    return getListModelsMethod;
  }

  /**
   * Creates a new async stub that supports all call types for the service
   */
  public static ReasoningServiceStub newStub(io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<ReasoningServiceStub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<ReasoningServiceStub>() {
        @java.lang.Override
        public ReasoningServiceStub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new ReasoningServiceStub(channel, callOptions);
        }
      };
    return ReasoningServiceStub.newStub(factory, channel);
  }

  /**
   * Creates a new blocking-style stub that supports all types of calls on the service
   */
  public static ReasoningServiceBlockingV2Stub newBlockingV2Stub(
      io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<ReasoningServiceBlockingV2Stub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<ReasoningServiceBlockingV2Stub>() {
        @java.lang.Override
        public ReasoningServiceBlockingV2Stub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new ReasoningServiceBlockingV2Stub(channel, callOptions);
        }
      };
    return ReasoningServiceBlockingV2Stub.newStub(factory, channel);
  }

  /**
   * Creates a new blocking-style stub that supports unary and streaming output calls on the service
   */
  public static ReasoningServiceBlockingStub newBlockingStub(
      io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<ReasoningServiceBlockingStub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<ReasoningServiceBlockingStub>() {
        @java.lang.Override
        public ReasoningServiceBlockingStub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new ReasoningServiceBlockingStub(channel, callOptions);
        }
      };
    return ReasoningServiceBlockingStub.newStub(factory, channel);
  }

  /**
   * Creates a new ListenableFuture-style stub that supports unary calls on the service
   */
  public static ReasoningServiceFutureStub newFutureStub(
      io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<ReasoningServiceFutureStub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<ReasoningServiceFutureStub>() {
        @java.lang.Override
        public ReasoningServiceFutureStub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new ReasoningServiceFutureStub(channel, callOptions);
        }
      };
    return ReasoningServiceFutureStub.newStub(factory, channel);
  }

  /**
   * <pre>
   * One endpoint for language models: it decides how a request is served, serves
   * it, and says truthfully how the answer ended.
   * Failures are gRPC statuses. Each carries a `google.rpc.ErrorInfo` with domain
   * "reasoning-grpc" and a reason from `ErrorReason`, and a
   * `google.rpc.RequestInfo`; see errors.proto.
   * </pre>
   */
  public interface AsyncService {

    /**
     * <pre>
     * Answers a conversation; returns when the whole answer is there. The result
     * is exactly what `StreamComplete` would have sent, folded into one message.
     * </pre>
     */
    default void complete(io.github.reasoninggrpc.v1.CompleteRequest request,
        io.grpc.stub.StreamObserver<io.github.reasoninggrpc.v1.CompleteResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getCompleteMethod(), responseObserver);
    }

    /**
     * <pre>
     * Answers a conversation, sending what happens as it happens. The stream ends
     * with a `completed` event and status OK, or with another status and without
     * that event.
     * </pre>
     */
    default void streamComplete(io.github.reasoninggrpc.v1.StreamCompleteRequest request,
        io.grpc.stub.StreamObserver<io.github.reasoninggrpc.v1.StreamCompleteResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getStreamCompleteMethod(), responseObserver);
    }

    /**
     * <pre>
     * Says how `Complete` would route a request, by the same code, without
     * calling the model that would answer.
     * </pre>
     */
    default void classify(io.github.reasoninggrpc.v1.ClassifyRequest request,
        io.grpc.stub.StreamObserver<io.github.reasoninggrpc.v1.ClassifyResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getClassifyMethod(), responseObserver);
    }

    /**
     * <pre>
     * Lists the models the caller may use, a page at a time, ordered by name.
     * </pre>
     */
    default void listModels(io.github.reasoninggrpc.v1.ListModelsRequest request,
        io.grpc.stub.StreamObserver<io.github.reasoninggrpc.v1.ListModelsResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getListModelsMethod(), responseObserver);
    }
  }

  /**
   * Base class for the server implementation of the service ReasoningService.
   * <pre>
   * One endpoint for language models: it decides how a request is served, serves
   * it, and says truthfully how the answer ended.
   * Failures are gRPC statuses. Each carries a `google.rpc.ErrorInfo` with domain
   * "reasoning-grpc" and a reason from `ErrorReason`, and a
   * `google.rpc.RequestInfo`; see errors.proto.
   * </pre>
   */
  public static abstract class ReasoningServiceImplBase
      implements io.grpc.BindableService, AsyncService {

    @java.lang.Override public final io.grpc.ServerServiceDefinition bindService() {
      return ReasoningServiceGrpc.bindService(this);
    }
  }

  /**
   * A stub to allow clients to do asynchronous rpc calls to service ReasoningService.
   * <pre>
   * One endpoint for language models: it decides how a request is served, serves
   * it, and says truthfully how the answer ended.
   * Failures are gRPC statuses. Each carries a `google.rpc.ErrorInfo` with domain
   * "reasoning-grpc" and a reason from `ErrorReason`, and a
   * `google.rpc.RequestInfo`; see errors.proto.
   * </pre>
   */
  public static final class ReasoningServiceStub
      extends io.grpc.stub.AbstractAsyncStub<ReasoningServiceStub> {
    private ReasoningServiceStub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected ReasoningServiceStub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new ReasoningServiceStub(channel, callOptions);
    }

    /**
     * <pre>
     * Answers a conversation; returns when the whole answer is there. The result
     * is exactly what `StreamComplete` would have sent, folded into one message.
     * </pre>
     */
    public void complete(io.github.reasoninggrpc.v1.CompleteRequest request,
        io.grpc.stub.StreamObserver<io.github.reasoninggrpc.v1.CompleteResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getCompleteMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Answers a conversation, sending what happens as it happens. The stream ends
     * with a `completed` event and status OK, or with another status and without
     * that event.
     * </pre>
     */
    public void streamComplete(io.github.reasoninggrpc.v1.StreamCompleteRequest request,
        io.grpc.stub.StreamObserver<io.github.reasoninggrpc.v1.StreamCompleteResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncServerStreamingCall(
          getChannel().newCall(getStreamCompleteMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Says how `Complete` would route a request, by the same code, without
     * calling the model that would answer.
     * </pre>
     */
    public void classify(io.github.reasoninggrpc.v1.ClassifyRequest request,
        io.grpc.stub.StreamObserver<io.github.reasoninggrpc.v1.ClassifyResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getClassifyMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Lists the models the caller may use, a page at a time, ordered by name.
     * </pre>
     */
    public void listModels(io.github.reasoninggrpc.v1.ListModelsRequest request,
        io.grpc.stub.StreamObserver<io.github.reasoninggrpc.v1.ListModelsResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getListModelsMethod(), getCallOptions()), request, responseObserver);
    }
  }

  /**
   * A stub to allow clients to do synchronous rpc calls to service ReasoningService.
   * <pre>
   * One endpoint for language models: it decides how a request is served, serves
   * it, and says truthfully how the answer ended.
   * Failures are gRPC statuses. Each carries a `google.rpc.ErrorInfo` with domain
   * "reasoning-grpc" and a reason from `ErrorReason`, and a
   * `google.rpc.RequestInfo`; see errors.proto.
   * </pre>
   */
  public static final class ReasoningServiceBlockingV2Stub
      extends io.grpc.stub.AbstractBlockingStub<ReasoningServiceBlockingV2Stub> {
    private ReasoningServiceBlockingV2Stub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected ReasoningServiceBlockingV2Stub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new ReasoningServiceBlockingV2Stub(channel, callOptions);
    }

    /**
     * <pre>
     * Answers a conversation; returns when the whole answer is there. The result
     * is exactly what `StreamComplete` would have sent, folded into one message.
     * </pre>
     */
    public io.github.reasoninggrpc.v1.CompleteResponse complete(io.github.reasoninggrpc.v1.CompleteRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getCompleteMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Answers a conversation, sending what happens as it happens. The stream ends
     * with a `completed` event and status OK, or with another status and without
     * that event.
     * </pre>
     */
    @io.grpc.ExperimentalApi("https://github.com/grpc/grpc-java/issues/10918")
    public io.grpc.stub.BlockingClientCall<?, io.github.reasoninggrpc.v1.StreamCompleteResponse>
        streamComplete(io.github.reasoninggrpc.v1.StreamCompleteRequest request) {
      return io.grpc.stub.ClientCalls.blockingV2ServerStreamingCall(
          getChannel(), getStreamCompleteMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Says how `Complete` would route a request, by the same code, without
     * calling the model that would answer.
     * </pre>
     */
    public io.github.reasoninggrpc.v1.ClassifyResponse classify(io.github.reasoninggrpc.v1.ClassifyRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getClassifyMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Lists the models the caller may use, a page at a time, ordered by name.
     * </pre>
     */
    public io.github.reasoninggrpc.v1.ListModelsResponse listModels(io.github.reasoninggrpc.v1.ListModelsRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getListModelsMethod(), getCallOptions(), request);
    }
  }

  /**
   * A stub to allow clients to do limited synchronous rpc calls to service ReasoningService.
   * <pre>
   * One endpoint for language models: it decides how a request is served, serves
   * it, and says truthfully how the answer ended.
   * Failures are gRPC statuses. Each carries a `google.rpc.ErrorInfo` with domain
   * "reasoning-grpc" and a reason from `ErrorReason`, and a
   * `google.rpc.RequestInfo`; see errors.proto.
   * </pre>
   */
  public static final class ReasoningServiceBlockingStub
      extends io.grpc.stub.AbstractBlockingStub<ReasoningServiceBlockingStub> {
    private ReasoningServiceBlockingStub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected ReasoningServiceBlockingStub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new ReasoningServiceBlockingStub(channel, callOptions);
    }

    /**
     * <pre>
     * Answers a conversation; returns when the whole answer is there. The result
     * is exactly what `StreamComplete` would have sent, folded into one message.
     * </pre>
     */
    public io.github.reasoninggrpc.v1.CompleteResponse complete(io.github.reasoninggrpc.v1.CompleteRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getCompleteMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Answers a conversation, sending what happens as it happens. The stream ends
     * with a `completed` event and status OK, or with another status and without
     * that event.
     * </pre>
     */
    public java.util.Iterator<io.github.reasoninggrpc.v1.StreamCompleteResponse> streamComplete(
        io.github.reasoninggrpc.v1.StreamCompleteRequest request) {
      return io.grpc.stub.ClientCalls.blockingServerStreamingCall(
          getChannel(), getStreamCompleteMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Says how `Complete` would route a request, by the same code, without
     * calling the model that would answer.
     * </pre>
     */
    public io.github.reasoninggrpc.v1.ClassifyResponse classify(io.github.reasoninggrpc.v1.ClassifyRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getClassifyMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Lists the models the caller may use, a page at a time, ordered by name.
     * </pre>
     */
    public io.github.reasoninggrpc.v1.ListModelsResponse listModels(io.github.reasoninggrpc.v1.ListModelsRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getListModelsMethod(), getCallOptions(), request);
    }
  }

  /**
   * A stub to allow clients to do ListenableFuture-style rpc calls to service ReasoningService.
   * <pre>
   * One endpoint for language models: it decides how a request is served, serves
   * it, and says truthfully how the answer ended.
   * Failures are gRPC statuses. Each carries a `google.rpc.ErrorInfo` with domain
   * "reasoning-grpc" and a reason from `ErrorReason`, and a
   * `google.rpc.RequestInfo`; see errors.proto.
   * </pre>
   */
  public static final class ReasoningServiceFutureStub
      extends io.grpc.stub.AbstractFutureStub<ReasoningServiceFutureStub> {
    private ReasoningServiceFutureStub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected ReasoningServiceFutureStub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new ReasoningServiceFutureStub(channel, callOptions);
    }

    /**
     * <pre>
     * Answers a conversation; returns when the whole answer is there. The result
     * is exactly what `StreamComplete` would have sent, folded into one message.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<io.github.reasoninggrpc.v1.CompleteResponse> complete(
        io.github.reasoninggrpc.v1.CompleteRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getCompleteMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * Says how `Complete` would route a request, by the same code, without
     * calling the model that would answer.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<io.github.reasoninggrpc.v1.ClassifyResponse> classify(
        io.github.reasoninggrpc.v1.ClassifyRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getClassifyMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * Lists the models the caller may use, a page at a time, ordered by name.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<io.github.reasoninggrpc.v1.ListModelsResponse> listModels(
        io.github.reasoninggrpc.v1.ListModelsRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getListModelsMethod(), getCallOptions()), request);
    }
  }

  private static final int METHODID_COMPLETE = 0;
  private static final int METHODID_STREAM_COMPLETE = 1;
  private static final int METHODID_CLASSIFY = 2;
  private static final int METHODID_LIST_MODELS = 3;

  private static final class MethodHandlers<Req, Resp> implements
      io.grpc.stub.ServerCalls.UnaryMethod<Req, Resp>,
      io.grpc.stub.ServerCalls.ServerStreamingMethod<Req, Resp>,
      io.grpc.stub.ServerCalls.ClientStreamingMethod<Req, Resp>,
      io.grpc.stub.ServerCalls.BidiStreamingMethod<Req, Resp> {
    private final AsyncService serviceImpl;
    private final int methodId;

    MethodHandlers(AsyncService serviceImpl, int methodId) {
      this.serviceImpl = serviceImpl;
      this.methodId = methodId;
    }

    @java.lang.Override
    @java.lang.SuppressWarnings("unchecked")
    public void invoke(Req request, io.grpc.stub.StreamObserver<Resp> responseObserver) {
      switch (methodId) {
        case METHODID_COMPLETE:
          serviceImpl.complete((io.github.reasoninggrpc.v1.CompleteRequest) request,
              (io.grpc.stub.StreamObserver<io.github.reasoninggrpc.v1.CompleteResponse>) responseObserver);
          break;
        case METHODID_STREAM_COMPLETE:
          serviceImpl.streamComplete((io.github.reasoninggrpc.v1.StreamCompleteRequest) request,
              (io.grpc.stub.StreamObserver<io.github.reasoninggrpc.v1.StreamCompleteResponse>) responseObserver);
          break;
        case METHODID_CLASSIFY:
          serviceImpl.classify((io.github.reasoninggrpc.v1.ClassifyRequest) request,
              (io.grpc.stub.StreamObserver<io.github.reasoninggrpc.v1.ClassifyResponse>) responseObserver);
          break;
        case METHODID_LIST_MODELS:
          serviceImpl.listModels((io.github.reasoninggrpc.v1.ListModelsRequest) request,
              (io.grpc.stub.StreamObserver<io.github.reasoninggrpc.v1.ListModelsResponse>) responseObserver);
          break;
        default:
          throw new AssertionError();
      }
    }

    @java.lang.Override
    @java.lang.SuppressWarnings("unchecked")
    public io.grpc.stub.StreamObserver<Req> invoke(
        io.grpc.stub.StreamObserver<Resp> responseObserver) {
      switch (methodId) {
        default:
          throw new AssertionError();
      }
    }
  }

  public static final io.grpc.ServerServiceDefinition bindService(AsyncService service) {
    return io.grpc.ServerServiceDefinition.builder(getServiceDescriptor())
        .addMethod(
          getCompleteMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              io.github.reasoninggrpc.v1.CompleteRequest,
              io.github.reasoninggrpc.v1.CompleteResponse>(
                service, METHODID_COMPLETE)))
        .addMethod(
          getStreamCompleteMethod(),
          io.grpc.stub.ServerCalls.asyncServerStreamingCall(
            new MethodHandlers<
              io.github.reasoninggrpc.v1.StreamCompleteRequest,
              io.github.reasoninggrpc.v1.StreamCompleteResponse>(
                service, METHODID_STREAM_COMPLETE)))
        .addMethod(
          getClassifyMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              io.github.reasoninggrpc.v1.ClassifyRequest,
              io.github.reasoninggrpc.v1.ClassifyResponse>(
                service, METHODID_CLASSIFY)))
        .addMethod(
          getListModelsMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              io.github.reasoninggrpc.v1.ListModelsRequest,
              io.github.reasoninggrpc.v1.ListModelsResponse>(
                service, METHODID_LIST_MODELS)))
        .build();
  }

  private static abstract class ReasoningServiceBaseDescriptorSupplier
      implements io.grpc.protobuf.ProtoFileDescriptorSupplier, io.grpc.protobuf.ProtoServiceDescriptorSupplier {
    ReasoningServiceBaseDescriptorSupplier() {}

    @java.lang.Override
    public com.google.protobuf.Descriptors.FileDescriptor getFileDescriptor() {
      return io.github.reasoninggrpc.v1.ReasoningServiceProto.getDescriptor();
    }

    @java.lang.Override
    public com.google.protobuf.Descriptors.ServiceDescriptor getServiceDescriptor() {
      return getFileDescriptor().findServiceByName("ReasoningService");
    }
  }

  private static final class ReasoningServiceFileDescriptorSupplier
      extends ReasoningServiceBaseDescriptorSupplier {
    ReasoningServiceFileDescriptorSupplier() {}
  }

  private static final class ReasoningServiceMethodDescriptorSupplier
      extends ReasoningServiceBaseDescriptorSupplier
      implements io.grpc.protobuf.ProtoMethodDescriptorSupplier {
    private final java.lang.String methodName;

    ReasoningServiceMethodDescriptorSupplier(java.lang.String methodName) {
      this.methodName = methodName;
    }

    @java.lang.Override
    public com.google.protobuf.Descriptors.MethodDescriptor getMethodDescriptor() {
      return getServiceDescriptor().findMethodByName(methodName);
    }
  }

  private static volatile io.grpc.ServiceDescriptor serviceDescriptor;

  public static io.grpc.ServiceDescriptor getServiceDescriptor() {
    io.grpc.ServiceDescriptor result = serviceDescriptor;
    if (result == null) {
      synchronized (ReasoningServiceGrpc.class) {
        result = serviceDescriptor;
        if (result == null) {
          serviceDescriptor = result = io.grpc.ServiceDescriptor.newBuilder(SERVICE_NAME)
              .setSchemaDescriptor(new ReasoningServiceFileDescriptorSupplier())
              .addMethod(getCompleteMethod())
              .addMethod(getStreamCompleteMethod())
              .addMethod(getClassifyMethod())
              .addMethod(getListModelsMethod())
              .build();
        }
      }
    }
    return result;
  }
}
