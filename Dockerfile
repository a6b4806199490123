# One image for every component. `make image` builds it; docs/decisions/0008-one-image.md gives the reasons.
# The base image must have python3 (3.11 to 3.13) with venv, and certificate authorities. To pin it, give its digest:
#   make image BUILD_OPTIONS='--build-arg BASE_IMAGE=python:3.11-slim-bookworm@sha256:…'
ARG BASE_IMAGE=python:3.11-slim-bookworm

FROM ${BASE_IMAGE} AS build
# cpu; gpu, which installs TensorFlow with the locked CUDA libraries; or beam, which adds Apache Beam to cpu.
ARG ACCELERATOR=cpu
WORKDIR /build
COPY requirements-uv.txt requirements-sbom.txt requirements-image-${ACCELERATOR}.txt ./
# TensorFlow's C++ headers take 290 MB and are only needed to compile operations.
RUN python3 -m venv uv \
    && uv/bin/pip install --quiet --no-cache-dir --disable-pip-version-check --require-hashes -r requirements-uv.txt \
    && uv/bin/uv venv --quiet --python python3 /opt/venv \
    && VIRTUAL_ENV=/opt/venv uv/bin/uv pip install --quiet --no-cache --require-hashes --compile-bytecode \
        -r "requirements-image-${ACCELERATOR}.txt" \
    && rm -r /opt/venv/lib/python3.*/site-packages/tensorflow/include
COPY gan_core /app/gan_core
COPY components /app/components
# Any user may read the code, whatever the file modes of the checkout. The bill of materials lists the installed
# packages; the tool that writes it is not part of the image.
RUN /opt/venv/bin/python -m compileall -q /app \
    && chmod -R a+rX /app \
    && python3 -m venv sbom \
    && sbom/bin/pip install --quiet --no-cache-dir --disable-pip-version-check --require-hashes \
        -r requirements-sbom.txt \
    && sbom/bin/cyclonedx-py environment --output-reproducible --of JSON -o /app/sbom.json /opt/venv

FROM ${BASE_IMAGE}
COPY --from=build /opt/venv /opt/venv
COPY --from=build /app /app
ARG REVISION=unknown
ARG DIRTY=unknown
ARG VERSION=unknown
ARG SOURCE=unknown
LABEL org.opencontainers.image.title="gan-pipeline" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.source="${SOURCE}"
# The root filesystem may be read-only and the user may have no name, so libraries write their files to /tmp.
# The last two variables are for GPUs: the folder where Google's nodes mount the driver, and the parts of the driver
# that NVIDIA's runtime mounts.
ENV PATH=/opt/venv/bin:$PATH \
    HOME=/tmp \
    USER=gan \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    GIT_REVISION=${REVISION} \
    GIT_DIRTY=${DIRTY} \
    GIT_PYTHON_REFRESH=quiet \
    LD_LIBRARY_PATH=/usr/local/nvidia/lib64 \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
WORKDIR /app
USER 65532:65532
# No entry point: a step's command is the whole command line, `python -m components.<stage> …`.
CMD ["python", "-m", "components.train", "--help"]
