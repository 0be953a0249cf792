# The gateway, and the command `crofai`: docker build -f docker/gateway.Dockerfile -t crofai-gateway .
# It has no torch; a simulated worker runs in it, too.
ARG PYTHON=3.12.12-slim-bookworm

FROM python:${PYTHON} AS build
WORKDIR /build
RUN python -m venv --without-pip /opt/crofai
COPY requirements/ requirements/
RUN pip install --no-cache-dir --no-deps "$(grep '^setuptools==' requirements/runtime.txt)" && \
    pip --python /opt/crofai/bin/python install --no-cache-dir --no-deps --only-binary=:all: -r requirements/gateway.txt
COPY pyproject.toml README.md ./
COPY gateway/ gateway/
COPY shared/ shared/
COPY workers/ workers/
RUN pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir dist . && \
    pip --python /opt/crofai/bin/python install --no-cache-dir --no-deps --no-index dist/*.whl && \
    /opt/crofai/bin/crofai --help

FROM python:${PYTHON}
RUN groupadd --gid 10001 crofai && \
    useradd --uid 10001 --gid 10001 --no-create-home --home-dir /tmp crofai && \
    install -d -o 10001 -g 10001 /var/lib/crofai /run/crofai /run/crofai-queue
COPY --from=build /opt/crofai /opt/crofai
COPY docker/make-secrets docker/with-secrets /usr/local/bin/
ENV PATH=/opt/crofai/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONSAFEPATH=1 \
    CROFAI_DATA_DIR=/var/lib/crofai \
    CROFAI_HOST=0.0.0.0 \
    CROFAI_PORT=8000 \
    CROFAI_METRICS_PORT=9090
USER 10001:10001
WORKDIR /var/lib/crofai
EXPOSE 8000 9090
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen('http://127.0.0.1:%s/health/ready' % os.environ['CROFAI_PORT'], timeout=4)"]
CMD ["python", "-m", "gateway"]
