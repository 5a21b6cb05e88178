# The gateway as an image. Mount the configuration and start `xinyidai serve --config /etc/xinyidai`; it listens beyond loopback, as
# it must in a network of its own, where consents are enforced and certificates and keys are stated (docs/identity.md,
# docs/operations.md). For a trial on the host's network run `xinyidai certs init` in the working directory once. Also:
#   the working directory holds the trail: keep it on a volume, one for each replica, of the user xinyidai
#   probes and Prometheus need `--admin 0.0.0.0:9464`: /healthz is liveness, /readyz readiness, /metrics
#   allow more than server.drain_s to stop, 5 s more with --workers: `docker stop -t 20`, terminationGracePeriodSeconds
FROM python:3.11-slim AS build
WORKDIR /src
COPY requirements ./requirements
RUN python -m venv /build && /build/bin/pip install -q --require-hashes --no-deps -r requirements/dev.txt \
 && python -m venv /app && /app/bin/pip install -q --require-hashes --no-deps -r requirements/runtime.txt
COPY . .
RUN /build/bin/python -m hatchling build -t wheel -d /dist && /app/bin/pip install -q --no-deps /dist/*.whl

FROM python:3.11-slim
RUN useradd --system --create-home --home-dir /var/lib/xinyidai xinyidai
COPY --from=build /app /app
USER xinyidai
WORKDIR /var/lib/xinyidai
ENV PATH=/app/bin:$PATH PYTHONDONTWRITEBYTECODE=1 GRPC_VERBOSITY=ERROR
VOLUME /var/lib/xinyidai
EXPOSE 50051 9464
STOPSIGNAL SIGTERM
CMD ["xinyidai", "serve"]
