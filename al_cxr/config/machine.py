"""Where and how fast; none of it changes a result beyond its last bits."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, ValidationInfo, field_validator

from al_cxr.config.section import Section


class Ray(Section):
    """How the engine `ray` runs: the resources of a task, and where."""

    address: str | None = Field(
        None, description="address of a running Ray cluster, or auto; null = a Ray of this machine alone"
    )
    cpus: float = Field(1.0, gt=0, description="CPU cores that a task asks for")
    gpus: float = Field(0.0, ge=0, description="GPUs that a task asks for; a fraction shares one")
    shard: int = Field(4096, ge=1, description="images of a pool that one task scores; a larger pool is split")


class Machine(Section):
    """Changes the speed, not the science; resolved once per experiment and kept, so that going on repeats the bits."""

    engine: Literal["local", "processes", "ray"] = Field(
        "local",
        description=(
            "what computes the runs: local = this process, processes = several on this machine, ray = a Ray cluster"
        ),
    )
    ray: Ray = Field(default_factory=Ray, description="resources of the engine ray")
    device: str = Field("auto", description="auto, cpu, cuda or cuda:N")
    precision: Literal["auto", "fp32", "bf16", "fp16"] = Field(
        "auto", description="number format of training; auto = measure which is faster"
    )
    score_precision: Literal["auto", "fp32", "bf16", "fp16"] = Field(
        "auto", description="number format of Monte-Carlo passes; auto = measure which is faster"
    )
    channels_last: bool = Field(True, description="memory layout of convolutions")
    threads: int = Field(0, ge=0, description="threads of PyTorch in each process; 0 = as many as cores")
    processes: int = Field(
        1, ge=1, le=256, description="engine processes only: runs at the same time, each with its own threads"
    )
    workers: int = Field(0, ge=0, description="threads that decode images and compute features; 0 = as many as cores")
    score_batch: int = Field(256, ge=1, description="images in a batch when scoring and evaluating")
    checkpoint_seconds: float = Field(
        60.0, ge=0, description="shortest time between two saved training states, in seconds"
    )
    cache: str | None = Field(None, description="folder of the decoded images; null = the user's cache folder")

    @field_validator("processes")
    @classmethod
    def _of_its_engine(cls, processes: int, info: ValidationInfo) -> int:
        """More than one is for the engine `processes`; ignored in silence, a sweep would take hours longer."""
        engine = info.data.get("engine", "processes")  # a wrong engine is an error of its own
        if processes > 1 and engine != "processes":
            raise ValueError(
                f"machine.engine is {engine}, which ignores it; set the engine to processes, or leave this key out"
            )
        return processes
