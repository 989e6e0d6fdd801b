# al-cxr on the CPU. From the repository's top folder:
#
#   docker build -f docker/cpu.Dockerfile --build-arg TORCH_INDEX=... -t al-cxr:cpu .
#   docker run --rm -v "$PWD/runs:/app/runs" -v "$PWD/results:/app/results" al-cxr:cpu
#
# Any other command of al-cxr goes at the end:  docker run --rm al-cxr:cpu baseline --arch cnn
FROM python:3.11-slim

# PyTorch's CPU wheel index; see the PyTorch installation page. Left empty, PyTorch comes from the default index: the
# same results, but the Linux wheels there bring the CUDA libraries along, several gigabytes that a CPU never uses.
ARG TORCH_INDEX=""

ENV PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1

WORKDIR /app
COPY constraints.txt ./
RUN if [ -n "$TORCH_INDEX" ]; then \
        pip install --no-deps --index-url "$TORCH_INDEX" --constraint constraints.txt torch torchvision; \
    fi

COPY pyproject.toml README.md LICENSE ./
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
