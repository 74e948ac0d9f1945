# The page on a CPU. Build and run:
#   docker build -t stn_jax .
#   docker run --rm -p 127.0.0.1:8000:8000 -v "$PWD/runs/demo:/run/model:ro" -e STN_JAX_TOKEN=... stn_jax
# The run's folder is mounted, not copied in: photos' statistics and weights stay out of the image.
FROM python:3.12-slim

ENV PIP_NO_CACHE_DIR=1 PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /app

COPY requirements.txt .
RUN pip install -r requirements.txt

COPY stn_jax stn_jax
COPY serve.py .

# A user without a home to write to; nothing needs one.
USER 65534:65534
EXPOSE 8000
HEALTHCHECK --start-period=60s --interval=30s --timeout=5s \
  CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/healthz', timeout=4)"]

# Exec form, so that `docker stop` reaches the server and requests under way are finished.
ENTRYPOINT ["python", "serve.py", "--workdir", "/run/model", "--host", "0.0.0.0"]
