// The two things the page can do: unfold details, and show failures only.
document.addEventListener("click", (event) => {
  const link = event.target.closest('[data-toggle="collapse"]');
  if (!link) return;
  event.preventDefault();
  const id = (link.getAttribute("href") || link.dataset.target || "").slice(1);
  const body = document.getElementById(id);
  if (body) body.classList.toggle("show");
});
function show(visible) {
  document
    .querySelectorAll(".hide-succeeded-validation-target-child")
    .forEach((cell) => { (cell.closest("tr") || cell.parentElement).hidden = !visible; });
  document
    .querySelectorAll(".hide-succeeded-validations-column-section-target-child")
    .forEach((block) => { block.closest(".ge-section").hidden = !visible; });
}
function showAllValidations() { show(true); }
function hideSucceededValidations() { show(false); }
