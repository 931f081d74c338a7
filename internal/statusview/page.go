package statusview

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
)

//go:embed page.js
var pageScript string

// pageStyle is the style sheet of the status page and the report page.
//
//go:embed style.css
var pageStyle string

// PagePolicy returns the Content-Security-Policy of the pages. It allows their own style and script (by
// hash), same-origin requests, and data: URLs for the empty icon.
func PagePolicy() string {
	return "default-src 'none'; img-src data:; connect-src 'self'; style-src " + hashSource(pageStyle) +
		"; script-src " + hashSource(pageScript) + "; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
}

// hashSource returns the hash-source expression for an inline element with the given text (Content
// Security Policy Level 3, section 2.3.1).
func hashSource(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

// AppendPage appends the HTML status page for s to b. All text is escaped. AppendPage is safe for
// concurrent use.
func (s *Status) AppendPage(b []byte) []byte {
	w := htmlWriter{b}
	w.statusPage(newPageView(s))
	return w.b
}
