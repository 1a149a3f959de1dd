cat > page.html <<'END'
<html><body><h1 id="sum">none</h1>
<script>document.getElementById("sum").textContent = "sum " + [1, 2, 3].reduce((a, b) => a + b)</script></body></html>
END
$AUDIT chromium --headless --no-sandbox --disable-gpu --no-first-run --user-data-dir="$WORK/profile" \
    --dump-dom "file://$WORK/page.html" 2> errors
echo "ended $?"
tail -n 5 errors >&2
