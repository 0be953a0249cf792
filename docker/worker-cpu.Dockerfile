# A worker without a GPU, for both engines, and the weights of the two models that try things out:
#   docker build -f docker/worker-cpu.Dockerfile -t crofai-worker-cpu --build-arg TORCH_INDEX=… .
# Without TORCH_INDEX, a package index with torch's CPU build, torch is the build for NVIDIA GPUs: it works, too, but is
# several GB larger.
ARG PYTHON=3.12.12-slim-bookworm

FROM python:${PYTHON} AS build
ARG TORCH_INDEX=
WORKDIR /build
RUN python -m venv --without-pip /opt/crofai
COPY requirements/ requirements/
# As `make setup` does: the lock is complete but for torch's own requirements, which are its build's.
RUN pip --python /opt/crofai/bin/python install --no-cache-dir ${TORCH_INDEX:+--extra-index-url "$TORCH_INDEX"} \
        --no-deps --only-binary=:all: -r requirements/runtime.txt && \
    pip --python /opt/crofai/bin/python install --no-cache-dir ${TORCH_INDEX:+--extra-index-url "$TORCH_INDEX"} \
        "$(grep '^torch==' requirements/runtime.txt)"
COPY pyproject.toml README.md ./
COPY gateway/ gateway/
COPY shared/ shared/
COPY workers/ workers/
RUN pip --python /opt/crofai/bin/python install --no-cache-dir --no-deps --no-build-isolation --no-index .

FROM python:${PYTHON}
# vLLM's kernels ask how memory and cores belong together.
RUN apt-get update && apt-get install -y --no-install-recommends libnuma1 && rm -rf /var/lib/apt/lists/* && \
    groupadd --gid 10001 crofai && \
    useradd --uid 10001 --gid 10001 --no-create-home --home-dir /tmp crofai && \
    install -d -o 10001 -g 10001 /var/lib/crofai
COPY --from=build /opt/crofai /opt/crofai
COPY docker/with-secrets /usr/local/bin/
ENV PATH=/opt/crofai/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONSAFEPATH=1 \
    HOME=/tmp \
    HF_HOME=/var/lib/crofai/huggingface \
    CROFAI_DATA_DIR=/var/lib/crofai \
    CROFAI_METRICS_PORT=9090
USER 10001:10001
WORKDIR /var/lib/crofai
EXPOSE 9090
HEALTHCHECK --interval=10s --timeout=5s --start-period=15m --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen('http://127.0.0.1:%s/ready' % os.environ['CROFAI_METRICS_PORT'], timeout=4)"]
ENTRYPOINT ["python", "-m", "workers"]
