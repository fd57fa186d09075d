// Before the first paint: the theme that was chosen here, if any; else the system's.
try {
  const chosen = localStorage.getItem("signalbox-theme");
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
} catch { /* storage may be forbidden; then the system's theme it is */ }
