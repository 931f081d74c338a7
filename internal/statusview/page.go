package statusview

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"html/template"
	"sync"
)

// commonSource defines the templates that the status page and the report page share.
//
//go:embed common.html
var commonSource string

//go:embed page.html
var pageSource string

//go:embed port.html
var portSource string

//go:embed page.js
var pageScript string

// pageStyle is the style sheet of the status page and the report page.
//
//go:embed style.css
var pageStyle string

// pageTemplate contains the status page and, as "port", the port page. It is parsed on the first
// request because most daemons never serve the pages.
var pageTemplate = sync.OnceValue(func() *template.Template {
	return template.Must(template.New("page").Funcs(template.FuncMap{
		"style":  func() template.HTML { return template.HTML("<style>" + pageStyle + "</style>") },
		"script": func() template.HTML { return template.HTML("<script>" + pageScript + "</script>") },
	}).Parse(commonSource + pageSource + portSource))
})

// PagePolicy is the Content-Security-Policy of the pages. It allows their own style and script (by
// hash), same-origin requests, and data: URLs for the empty icon.
var PagePolicy = "default-src 'none'; img-src data:; connect-src 'self'; style-src " + hashSource(pageStyle) +
	"; script-src " + hashSource(pageScript) + "; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// hashSource returns the hash-source expression for an inline element with the given text (Content
// Security Policy Level 3, section 2.3.1).
func hashSource(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

// AppendPage appends the HTML status page for s to b. All text is escaped. AppendPage is safe for
// concurrent use.
func (s *Status) AppendPage(b []byte) []byte {
	page := bytes.NewBuffer(b)
	if err := pageTemplate().Execute(page, newPageView(s)); err != nil {
		panic(err) // unreachable: the template matches pageView
	}
	return page.Bytes()
}
