# The gateway as an image; config/deploy/README.md says how it is run. Mount the configuration and start
# `xinyidai serve --config /etc/xinyidai`: it listens beyond loopback, as it must in a network of its own, where consents are
# enforced and certificates and keys are stated (docs/identity.md, docs/operations.md). Also:
#   the working directory holds the trail: keep it on a volume, one for each replica, of the user 10001
#   the folder beside it is for anchors of the trail: a volume on another disk
#   probes and Prometheus need `--admin 0.0.0.0:9464`: /healthz is liveness, /readyz readiness, /metrics
#   allow more than server.drain_s to stop, 10 s more at the least: `docker stop -t 30`, terminationGracePeriodSeconds
FROM python:3.11-slim AS build
WORKDIR /src
COPY requirements ./requirements
RUN python -m venv /build && /build/bin/pip install -q --require-hashes --no-deps -r requirements/dev.txt \
 && python -m venv /app && /app/bin/pip install -q --require-hashes --no-deps -r requirements/runtime.txt
COPY . .
RUN /build/bin/python -m hatchling build -t wheel -d /dist && /app/bin/pip install -q --no-deps /dist/*.whl

FROM python:3.11-slim
# By number: where runAsNonRoot is asked for, a cluster does not start an image whose user is a name.
RUN useradd --uid 10001 --user-group --no-create-home --home-dir /var/lib/xinyidai --shell /usr/sbin/nologin xinyidai \
 && install -d -o 10001 -g 10001 -m 700 /var/lib/xinyidai /var/lib/xinyidai-anchors
COPY --from=build /app /app
USER 10001:10001
WORKDIR /var/lib/xinyidai
ENV PATH=/app/bin:$PATH PYTHONDONTWRITEBYTECODE=1 GRPC_VERBOSITY=ERROR
VOLUME /var/lib/xinyidai
EXPOSE 50051 9464
STOPSIGNAL SIGTERM
CMD ["xinyidai", "serve"]
