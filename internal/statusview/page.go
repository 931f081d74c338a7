package statusview

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"html/template"
	"sync"
)

// commonSource defines the templates that the page and the report's page share.
//
//go:embed common.html
var commonSource string

//go:embed page.html
var pageSource string

//go:embed port.html
var portSource string

//go:embed page.js
var pageScript string

// pageStyle is the style of the page and of the report's page.
//
//go:embed style.css
var pageStyle string

// pageTemplate has the page and, as "port", the page of a port. It is parsed at the first request, because most daemons never serve the page.
var pageTemplate = sync.OnceValue(func() *template.Template {
	return template.Must(template.New("page").Funcs(template.FuncMap{
		"style":  func() template.HTML { return template.HTML("<style>" + pageStyle + "</style>") },
		"script": func() template.HTML { return template.HTML("<script>" + pageScript + "</script>") },
	}).Parse(commonSource + pageSource + portSource))
})

// PagePolicy is the Content-Security-Policy of the pages. It allows their own style and script,
// by hash, requests to the same origin, and data: for the empty icon.
var PagePolicy = "default-src 'none'; img-src data:; connect-src 'self'; style-src " + hashSource(pageStyle) +
	"; script-src " + hashSource(pageScript) + "; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// hashSource returns the hash expression for the text of an element (Content Security Policy Level
// 3, section 2.3.1).
func hashSource(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

// AppendPage appends the HTML page of s and escapes all text of s. It may be called from any
// goroutine.
func (s *Status) AppendPage(b []byte) []byte {
	page := bytes.NewBuffer(b)
	if err := pageTemplate().Execute(page, newPageView(s)); err != nil {
		panic(err) // the template matches pageView, and a buffer returns no errors
	}
	return page.Bytes()
}
