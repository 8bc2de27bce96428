# The server in an image: `docker build --target server .`, or `--target server-embedded` with the embedded model beside it.
# docs/image.md says how to build, configure and run it; `make image` builds and tries both.

# The tag is no digest, because a digest names one build of one day. For builds that repeat, give the digest of the day:
# --build-arg PYTHON_IMAGE=python:3.11-slim-bookworm@sha256:...
ARG PYTHON_IMAGE=python:3.11-slim-bookworm

# What the server needs, without tools: the environment is copied as a whole, and nothing of this stage stays.
FROM ${PYTHON_IMAGE} AS dependencies
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python3 -m venv /opt/build && python3 -m venv --without-pip /opt/reasoning-grpc
WORKDIR /source
COPY requirements/server.txt requirements/
# Both secrets are optional: a configuration of pip, and the certificates by which it knows its index.
RUN --mount=type=secret,id=pip.conf,target=/etc/pip.conf,mode=0444 \
    --mount=type=secret,id=certificates,target=/etc/ssl/certs/ca-certificates.crt,mode=0444 \
    /opt/build/bin/pip --python /opt/reasoning-grpc/bin/python install \
    --no-deps --require-hashes -r requirements/server.txt

# The package, built by the locked build backend.
FROM dependencies AS package
COPY requirements/build.txt requirements/
RUN --mount=type=secret,id=pip.conf,target=/etc/pip.conf,mode=0444 \
    --mount=type=secret,id=certificates,target=/etc/ssl/certs/ca-certificates.crt,mode=0444 \
    /opt/build/bin/pip install --no-deps --require-hashes -r requirements/build.txt
COPY pyproject.toml README.md LICENSE ./
COPY src src
RUN /opt/build/bin/pip wheel --no-deps --no-build-isolation --no-index --wheel-dir /wheels .

FROM dependencies AS with-server
COPY --from=package /wheels /wheels
RUN /opt/build/bin/pip --python /opt/reasoning-grpc/bin/python install --no-deps --no-index /wheels/*.whl

FROM with-server AS with-embedded
COPY requirements/embedded.txt requirements/
RUN --mount=type=secret,id=pip.conf,target=/etc/pip.conf,mode=0444 \
    --mount=type=secret,id=certificates,target=/etc/ssl/certs/ca-certificates.crt,mode=0444 \
    /opt/build/bin/pip --python /opt/reasoning-grpc/bin/python install \
    --no-deps --require-hashes -r requirements/embedded.txt

# What both images are beside the environment: no shell, no compiler and no writable folder is needed from here on.
FROM ${PYTHON_IMAGE} AS runtime
# The embedded model's runtime needs OpenMP, and Debian's package of it has the release's only version.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libgomp1 \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt/*.bin \
    && groupadd --gid 10001 reasoning \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin reasoning
ENV PATH=/opt/reasoning-grpc/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    REASONING_LISTEN=0.0.0.0:50051
LABEL org.opencontainers.image.title="reasoning-grpc" \
    org.opencontainers.image.description="One typed gRPC endpoint for language models" \
    org.opencontainers.image.licenses="Apache-2.0" \
    org.opencontainers.image.source="https://github.com/reasoning-grpc/reasoning-grpc" \
    org.opencontainers.image.documentation="https://github.com/reasoning-grpc/reasoning-grpc/blob/main/docs/image.md"
WORKDIR /
EXPOSE 50051
STOPSIGNAL SIGTERM
# A number, so that Kubernetes can see that it is not root.
USER 10001:10001
ENTRYPOINT ["reasoning-grpc"]
CMD ["serve"]

FROM runtime AS server-embedded
COPY --from=with-embedded /opt/reasoning-grpc /opt/reasoning-grpc

# The last target is the one that is built where none is named.
FROM runtime AS server
COPY --from=with-server /opt/reasoning-grpc /opt/reasoning-grpc
