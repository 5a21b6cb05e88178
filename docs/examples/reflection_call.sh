#!/usr/bin/env bash
# Asks for one view by reflection alone, without generated code: reflection_call.sh ADDRESS USCC [BUF]
# BUF is by default the one of the path, else that which `make setup` installs.
# With XINYIDAI_CERT, XINYIDAI_KEY and XINYIDAI_CA it shows a certificate; without them it speaks plain text.
set -euo pipefail
address=${1:-127.0.0.1:50051} uscc=${2:-91310115MA0TERT167}
buf=${3:-$(command -v buf || echo "$(dirname "$0")/../../.venv/bin/buf")}
if [ -n "${XINYIDAI_CERT:-}" ]; then
  reach=(--cacert "$XINYIDAI_CA" --cert "$XINYIDAI_CERT" --key "$XINYIDAI_KEY") scheme=https
else
  reach=(--http2-prior-knowledge) scheme=http
fi
exec "$buf" curl --protocol grpc "${reach[@]}" \
  --data "{\"query\": {\"uscc\": \"$uscc\", \"purpose\": \"PURPOSE_PRE_LOAN\"}}" \
  "$scheme://$address/xinyidai.gateway.v1.CreditService/GetCreditView"
