package statusview

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"html/template"
	"sync"
)

//go:embed page.html
var pageSource string

//go:embed page.js
var pageScript string

// pageStyle is of both pages.
//
//go:embed style.css
var pageStyle string

// pageTemplate is parsed when it is first wanted: the daemon starts without it,
// and most daemons never show a page.
var pageTemplate = sync.OnceValue(func() *template.Template {
	return template.Must(template.New("page").Funcs(template.FuncMap{
		"style":  func() template.HTML { return template.HTML("<style>" + pageStyle + "</style>") },
		"script": func() template.HTML { return template.HTML("<script>" + pageScript + "</script>") },
	}).Parse(pageSource))
})

// PagePolicy is the Content-Security-Policy of the page: its own style and
// script, known by their hash, and requests to where it came from. There is no
// icon, but browsers ask for one where they are not told so (data:).
var PagePolicy = "default-src 'none'; img-src data:; connect-src 'self'; style-src " + hashSource(pageStyle) +
	"; script-src " + hashSource(pageScript) + "; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// hashSource is what a policy calls the text of an element (Content Security
// Policy Level 3, section 2.3.1).
func hashSource(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

// AppendPage appends the page of s. All text of s is taken for foreign. It may be
// called from many goroutines at once.
func (s *Status) AppendPage(b []byte) []byte {
	page := bytes.NewBuffer(b)
	if err := pageTemplate().Execute(page, newPageView(s)); err != nil {
		panic(err) // the template is ours and the buffer takes everything
	}
	return page.Bytes()
}
