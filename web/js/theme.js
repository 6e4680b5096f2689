/** Light, dark, or as the system is. Runs before the page is painted, so that no wrong colour flashes: a classic script, not a module. */
(() => {
  const stored = localStorage.getItem("open-speech.theme");
  if (stored === "light" || stored === "dark") document.documentElement.dataset.theme = stored;
})();
