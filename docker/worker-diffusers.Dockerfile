# A worker for pictures on NVIDIA GPUs, on PyTorch's own image: docker build -f docker/worker-diffusers.Dockerfile -t crofai-worker-diffusers .
# What the base image has stays as it is: our packages come last on Python's path, and fill gaps only.
# torch in the version that requirements/runtime.txt has.
ARG PYTORCH=2.13.0-cuda13.0-cudnn9-runtime

FROM pytorch/pytorch:${PYTORCH} AS packages
COPY requirements/diffusers.txt /tmp/requirements.txt
RUN python3 -m pip install --no-cache-dir --no-deps --only-binary=:all: --target /opt/crofai/packages -r /tmp/requirements.txt

FROM pytorch/pytorch:${PYTORCH}
RUN groupadd --gid 10001 crofai && \
    useradd --uid 10001 --gid 10001 --no-create-home --home-dir /tmp crofai && \
    install -d -o 10001 -g 10001 /var/lib/crofai
COPY --from=packages /opt/crofai/packages /opt/crofai/packages
COPY shared/ /opt/crofai/app/shared/
COPY workers/ /opt/crofai/app/workers/
COPY docker/with-secrets /usr/local/bin/
# What does not fit together is seen here, and not when a model starts.
RUN printf '/opt/crofai/app\n/opt/crofai/packages\n' > "$(python3 -c 'import site; print(site.getsitepackages()[0])')/zz-crofai.pth" && \
    python3 -c "import workers.worker, opentelemetry.exporter.otlp.proto.http.trace_exporter, workers.engines.diffusers, workers.engines.sdxl"
ENV PYTHONUNBUFFERED=1 \
    PYTHONSAFEPATH=1 \
    HOME=/tmp \
    HF_HOME=/var/lib/crofai/huggingface \
    CROFAI_DATA_DIR=/var/lib/crofai \
    CROFAI_METRICS_PORT=9090
USER 10001:10001
WORKDIR /var/lib/crofai
EXPOSE 9090
# Large models load for long.
HEALTHCHECK --interval=20s --timeout=10s --start-period=2h --retries=3 \
    CMD ["python3", "-c", "import os, urllib.request as r; r.urlopen('http://127.0.0.1:%s/ready' % os.environ['CROFAI_METRICS_PORT'], timeout=8)"]
ENTRYPOINT ["python3", "-m", "workers"]
