// Loads the scripts of the page once it has been painted: before that they would keep it from being seen.
(() => {
  "use strict";
  const { then } = document.currentScript.dataset;
  let begun = false;
  const load = () => {
    if (begun) return;
    begun = true;
    const script = document.createElement("script");
    script.src = then;
    document.head.append(script);
  };
  // htmx begins by itself only where the document is complete, or not yet parsed
  window.addEventListener("load", () => {
    requestAnimationFrame(() => setTimeout(load)); // behind the frame that is painted now
    setTimeout(load, 500); // a tab that nobody sees paints nothing
  });
})();
