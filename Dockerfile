# The gateway as an image. In this version `xinyidai serve` listens on loopback only (development permits), so the image is for
# trials on the host's network. It needs certificates: mount them and name them in gateway.toml (docs/identity.md), or keep
# the working directory on a volume and run `xinyidai certs init` in it once.
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
STOPSIGNAL SIGTERM
CMD ["xinyidai", "serve"]
