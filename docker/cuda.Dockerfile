# al-cxr on an NVIDIA GPU. From the repository's top folder:
#
#   docker build -f docker/cuda.Dockerfile -t al-cxr:cuda .
#   docker run --rm --gpus all -v "$PWD/runs:/app/runs" -v "$PWD/results:/app/results" al-cxr:cuda
#
# The base is plain Python: PyTorch's default Linux wheels bring CUDA and cuDNN as packages of their own, so a CUDA base
# image would hold everything twice. The host needs an NVIDIA driver and the NVIDIA Container Toolkit.
FROM python:3.11-slim

ENV PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1

WORKDIR /app
COPY constraints.txt pyproject.toml README.md LICENSE ./
COPY al_cxr ./al_cxr
COPY experiments ./experiments
# With the extras of every command in the README.
RUN pip install --constraint constraints.txt ".[dicom,kaggle,label,openvino,pretrained,ray,search]"

# Nothing runs as root. The home folder (pixel cache, fonts) and the output folders are open to any user, so that
# `docker run --user` and compose can pass the caller's id and files on the host belong to the caller.
RUN useradd --create-home --uid 1000 al-cxr \
    && mkdir data runs results \
    && chmod 1777 /home/al-cxr runs results
ENV HOME=/home/al-cxr
USER 1000:1000

VOLUME ["/app/data", "/app/runs", "/app/results"]
ENTRYPOINT ["al-cxr"]
CMD ["run", "experiments/tb_entropy.yaml"]
