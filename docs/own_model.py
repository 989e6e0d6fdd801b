"""Active learning with images and a network of your own: no experiment file, no folders."""

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, Subset, TensorDataset

import al_cxr

digits, labels = load_digits(return_X_y=True)  # your own: any data set of torch or torchvision
data = TensorDataset(torch.from_numpy(digits).float() / 16, torch.from_numpy(labels))
train, test = np.arange(1400), np.arange(1400, len(labels))


def fit(indices: np.ndarray) -> nn.Module:
    """Your own network, trained your own way on some images; it only has to have dropout."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Dropout(0.3), nn.Linear(128, 10))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.003)
    for _ in range(50):
        for images, targets in DataLoader(Subset(data, indices), batch_size=32, shuffle=True):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(images), targets).backward()
            optimizer.step()
    return model.eval()


def choose(candidates: np.ndarray, n: int) -> np.ndarray:
    """The n candidates whose labels would teach the network most."""
    statistics = al_cxr.score_pool(model, DataLoader(data, batch_size=256, sampler=candidates), passes=20)
    return al_cxr.select("bald", statistics, n, rng).indices


rng = np.random.default_rng(0)
pool = al_cxr.Pool(len(data), train, classes=10)
asked = pool.ask(20, lambda candidates, n: rng.choice(candidates, n, replace=False))
pool.tell(asked, labels[asked])
for _ in range(5):
    model = fit(pool.labelled)
    right = model(data[test][0]).argmax(dim=1) == data[test][1]
    print(f"{len(pool.labelled):3} labels: {100 * right.float().mean():.1f} % of the test images right")
    asked = pool.ask(20, choose)
    pool.tell(asked, labels[asked])  # here a person looks at these images and says what they show
