const response = await fetch("/api/lead/status");
document.getElementById("status").textContent = JSON.stringify(await response.json(), null, 1);
