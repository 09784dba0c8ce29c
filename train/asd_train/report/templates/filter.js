// Shows one machine alone. Without scripts all are shown.
(() => {
  const label = document.getElementById("filter");
  label.hidden = false;
  label.querySelector("select").addEventListener("change", (event) => {
    const wanted = event.target.value;
    for (const part of document.querySelectorAll("[data-machine]")) {
      part.hidden = wanted !== "" && part.dataset.machine !== wanted;
    }
  });
})();
