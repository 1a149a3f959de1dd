//! The page in a browser: it asks nobody, runs nothing that came from outside, and can be read and used in the dark, on a
//! narrow screen, by keyboard, and with ten thousand objects.

use serde_json::Value;

use crate::browser::Browser;
use crate::check;
use crate::gallery::Gallery;
use crate::trial::{Stop, Trials, Verdict};

/// Adds the trials.
pub fn add(trials: &mut Trials) {
    trials.add("html::nothing_from_outside_runs", harmless);
    trials.add("html::can_be_read_in_both_themes_wide_and_narrow", readable);
    trials.add("html::is_used_by_keyboard", keyboard);
    trials.add("html::ten_thousand_objects", many);
}

/// What every page must be.
fn is_clean(browser: &mut Browser) -> Verdict {
    let complaints = browser.complaints();
    check!(complaints.is_empty(), "the browser complains: {complaints:?}");
    Ok(())
}

fn harmless() -> Verdict {
    let gallery = Gallery::of(&[])?;
    let text = String::from_utf8(gallery.bytes("html")?)?;
    check!(!text.contains("<script>alert") && !text.contains('\x1b'), "a name stands in the page as it is");
    for word in ["http:", "https:", "src=", "url(", "@import"] {
        check!(!text.contains(word), "the page has {word}");
    }
    let mut browser = Browser::start("html::harmless")?;
    browser.open(&gallery.file("html"), "light", 1200)?;
    is_clean(&mut browser)?;
    check!(browser.value("document.scripts.length")? == 2, "another number of scripts");
    let shown = browser.value("document.body.textContent.includes('/shmaudit-gallery-<script>alert(1)<')")?;
    check!(shown == true, "the harmful name is not shown");
    let title = browser.value("document.title")?;
    check!(title == "5 objects leaked, 17686 bytes - shmaudit", "the title is {title}");
    // The policy itself: a script that is put in later does not run, an image is not asked for.
    browser.value(
        "{ const script = document.createElement('script'); script.textContent = 'window.ran = 1'; \
         document.body.append(script); const image = document.createElement('img'); \
         image.src = 'https://example.org/x.png'; document.body.append(image); 0 }",
    )?;
    check!(browser.value("window.ran ?? 'no'")? == "no", "a script that was put in ran");
    let answered = browser.value(
        "new Promise((done) => { const image = document.images[0]; image.onload = () => done('loaded'); \
         image.onerror = () => done('refused'); if (image.complete) done('refused'); })",
    )?;
    check!(answered == "refused", "the image is {answered}");
    let complaints = browser.complaints().join("\n");
    let refused = complaints.matches("Content Security Policy").count();
    check!(refused >= 2 && !complaints.contains("net::"), "the policy refuses {refused}: {complaints}");
    Ok(())
}

/// Contrast of text and what is behind it, as WCAG defines it, for what people read.
const CONTRAST: &str = "(() => {
  const parts = (color) => color.match(/[\\d.]+/g).map(Number);
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const color = parts(getComputedStyle(at).backgroundColor);
      if (color.length < 4 || color[3] > 0) return color;
    }
    return [255, 255, 255];
  };
  const light = (color) => {
    const [red, green, blue] = color.map((part) => (part / 255 <= 0.03928 ? part / 255 / 12.92 : ((part / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  let least = [99, ''];
  for (const element of document.querySelectorAll('h1, h2, h3, p, dt, dd, .badge, .kind, .message, .more, .function, .place, .module, .row > *, .head *')) {
    if (!element.textContent.trim()) continue;
    const [one, other] = [light(parts(getComputedStyle(element).color)), light(behind(element))];
    const contrast = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
    if (contrast < least[0]) least = [contrast, element.className + ' ' + element.textContent.slice(0, 40)];
  }
  return least;
})()";

fn readable() -> Verdict {
    let page = Gallery::of(&[])?.file("html");
    let mut browser = Browser::start("html::readable")?;
    let mut backs = Vec::new();
    for scheme in ["light", "dark"] {
        for width in [1280, 360] {
            browser.open(&page, scheme, width)?;
            browser.value("document.querySelectorAll('details').forEach((part) => { part.open = true; })")?;
            let wide = browser.value("document.documentElement.scrollWidth")?;
            check!(wide == width, "{scheme}, {width} wide: the page is {wide} wide");
            let least = browser.value(CONTRAST)?;
            check!(least[0].as_f64().is_some_and(|least| least >= 4.5), "{scheme}, {width} wide: contrast {least}");
            let cut = browser.value("[...document.querySelectorAll('.card, .finding')].filter((part) => part.scrollWidth > part.clientWidth + 1).length")?;
            check!(cut == 0, "{scheme}, {width} wide: {cut} parts are cut off");
            is_clean(&mut browser)?;
            browser.picture(&format!("gallery-{scheme}-{width}"))?;
            backs.push(browser.value("getComputedStyle(document.body).backgroundColor")?);
        }
    }
    check!(backs[0] == backs[1] && backs[2] == backs[3] && backs[0] != backs[2], "backgrounds: {backs:?}");
    // The other theme, whatever the system's is.
    browser.value("document.getElementById('theme').click()")?;
    check!(browser.value("getComputedStyle(document.body).backgroundColor")? == backs[0], "the theme does not change");
    Ok(())
}

fn text(browser: &mut Browser, of: &str) -> Result<String, Stop> {
    let value = browser.value(&format!("document.querySelector({of:?})?.textContent ?? ''"))?;
    Ok(value.as_str().unwrap_or_default().to_string())
}

fn keyboard() -> Verdict {
    let page = Gallery::of(&[])?.file("html");
    let mut browser = Browser::start("html::keyboard")?;
    browser.open(&page, "light", 1280)?;
    check!(browser.value("document.querySelectorAll('.finding').length")? == 6, "another number of findings");
    browser.press("/")?;
    check!(browser.value("document.activeElement.id")? == "words", "/ does not lead to the search");
    browser.write("LEFT leave_many")?;
    let found = text(&mut browser, "#found")?;
    check!(found == "1 of 6 findings, 3 of 20 objects", "found {found}");
    check!(browser.value("document.querySelectorAll('.finding:not([hidden])').length")? == 1, "others are still there");
    for key in ["ArrowDown", "ArrowDown", "Enter"] {
        browser.press(key)?;
    }
    let current = text(&mut browser, "#objects .row.current .name")?;
    check!(current == "/shmaudit-gallery-left-1", "the row is {current}");
    let active = browser.value(
        "document.getElementById(document.querySelector('#objects').getAttribute('aria-activedescendant')).textContent",
    )?;
    check!(active.as_str().is_some_and(|active| active.contains("left-1")), "to a screen reader it is {active}");
    let panel = text(&mut browser, "#object")?;
    let told = ["leaked", "4202 bytes", "Made by shm_open in gallery[", "leave_many gallery.c:"];
    check!(told.iter().all(|word| panel.contains(word)), "of the object is told: {panel}");
    browser.picture("keyboard")?;
    browser.press("Escape")?;
    check!(browser.value("document.getElementById('object').hidden")? == true, "Escape does not close");
    browser.press("/")?;
    browser.press("Escape")?;
    check!(text(&mut browser, "#found")?.is_empty(), "Escape does not end the search");
    // From the findings on, everything is reached by Tab, and can be seen to be.
    browser.value("document.querySelector('.finding summary').focus()")?;
    let mut reached = Vec::new();
    for _ in 0..14 {
        browser.press("Tab")?;
        let at = browser.value("document.activeElement.id || document.activeElement.tagName")?;
        let outline = browser.value("getComputedStyle(document.activeElement).outlineStyle")?;
        check!(outline == "solid" || outline == "auto", "{at} does not show that it has the focus: {outline}");
        reached.push(at.as_str().unwrap_or_default().to_string());
        if reached.ends_with(&["objects".to_string()]) {
            break;
        }
    }
    let has = |wanted: &str| reached.iter().any(|at| at == wanted);
    check!(has("SUMMARY") && has("processes") && has("objects"), "Tab reaches {reached:?}");
    is_clean(&mut browser)
}

fn many() -> Verdict {
    let gallery = Gallery::make("html::many", &["12", "10000"])?;
    let size = gallery.bytes("html")?.len();
    check!(size < 8 << 20, "{size} bytes");
    let mut browser = Browser::start("html::many")?;
    browser.open(&gallery.file("html"), "dark", 1280)?;
    let rows = |browser: &mut Browser| browser.value("document.querySelectorAll('.row').length");
    check!(rows(&mut browser)?.as_u64().is_some_and(|rows| (20..200).contains(&rows)), "rows: {}", rows(&mut browser)?);
    browser.value("document.getElementById('objects').focus()")?;
    browser.press("End")?;
    let last = browser.value("document.querySelector('#objects .row.current').getAttribute('aria-rowindex')")?;
    check!(
        last.as_str().and_then(|last| last.parse::<u32>().ok()).is_some_and(|last| last > 10_000),
        "the last is {last}"
    );
    browser.press("/")?;
    browser.write("left-9876")?;
    let found = text(&mut browser, "#found")?;
    check!(found.contains(" 1 of 100"), "found {found}");
    // However many there are, only those that are seen are in the page: that is why it is quick.
    check!(rows(&mut browser)?.as_u64().is_some_and(|rows| rows < 200), "rows: {}", rows(&mut browser)?);
    is_clean(&mut browser)?;
    browser.picture("ten-thousand")?;
    let more: Value = browser.value("document.querySelectorAll('.finding').length")?;
    check!(more.as_u64().is_some_and(|more| more < 10), "{more} findings: a loop's are not one");
    Ok(())
}
