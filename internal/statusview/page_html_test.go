package statusview

import (
	"fmt"
	"html"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// document is a page as read by checkHTML.
type document struct {
	tags  []string // opening tags, with the names of attributes and the value of class
	links []string // values of href and src attributes
	ids   []string // values of id attributes
	text  string   // with a blank in place of each tag
	raw   map[string][]string
}

// checkHTML parses a page by stricter rules than those of HTML: every element is closed, every
// attribute is quoted, and text has no unescaped <, > or &. All parsers read such a page in the
// same way.
func checkHTML(page []byte) (*document, error) {
	p := &pageReader{rest: string(page)}
	p.raw = make(map[string][]string)
	if err := checkCharacters(page); err != nil {
		return nil, err
	}
	var found bool
	if p.rest, found = strings.CutPrefix(p.rest, "<!DOCTYPE html>"); !found {
		return nil, fmt.Errorf("begins with %.20q", p.rest)
	}
	for len(p.rest) > 0 {
		n := strings.IndexByte(p.rest, '<')
		if n < 0 {
			n = len(p.rest)
		}
		text, err := plainText(p.rest[:n])
		if err != nil {
			return nil, err
		}
		p.words = append(p.words, text...)
		p.words = append(p.words, ' ')
		if p.rest = p.rest[n:]; p.rest == "" {
			break
		}
		if err := p.tag(); err != nil {
			return nil, err
		}
	}
	if len(p.open) > 0 {
		return nil, fmt.Errorf("not closed: %q", p.open)
	}
	p.text = string(p.words)
	return &p.document, nil
}

// checkCharacters returns an error for a character that is not printable.
func checkCharacters(page []byte) error {
	if !utf8.Valid(page) {
		return fmt.Errorf("not UTF-8")
	}
	for i, r := range string(page) {
		if (r < ' ' || r > '~') && r != '\n' && !strconv.IsPrint(r) {
			return fmt.Errorf("has the character %U in %.60q", r, page[max(0, i-30):])
		}
	}
	return nil
}

// pageReader is the state of checkHTML.
type pageReader struct {
	document
	rest  string
	open  []string
	words []byte
}

// tag reads one tag, with the contents of style and script.
func (p *pageReader) tag() error {
	end := strings.IndexByte(p.rest, '>')
	if end < 0 || strings.IndexByte(p.rest[1:end], '<') >= 0 {
		return fmt.Errorf("invalid tag: %.60q", p.rest)
	}
	inner := p.rest[1:end]
	p.rest = p.rest[end+1:]
	if name, closing := strings.CutPrefix(inner, "/"); closing {
		if n := len(p.open); n == 0 || p.open[n-1] != name {
			return fmt.Errorf("</%s> within %q", name, p.open)
		}
		p.open = p.open[:len(p.open)-1]
		return nil
	}
	inner, selfClosing := strings.CutSuffix(inner, "/")
	name, attributes, _ := strings.Cut(inner, " ")
	if strings.Trim(name, "abcdefghijklmnopqrstuvwxyz123456") != "" {
		return fmt.Errorf("invalid tag: <%s>", inner)
	}
	switch name {
	case "meta", "link", "input", "br":
	case "style", "script":
		n := strings.Index(p.rest, "</"+name+">")
		if n < 0 {
			return fmt.Errorf("no end of %s", name)
		}
		p.raw[name] = append(p.raw[name], p.rest[:n])
		p.rest = p.rest[n+len("</"+name+">"):]
	default:
		if !selfClosing {
			p.open = append(p.open, name)
		}
	}
	return p.attributes(name, attributes)
}

// attributes reads the attributes of a tag.
func (p *pageReader) attributes(name, s string) error {
	tag := name
	for s = strings.TrimLeft(s, " "); s != ""; s = strings.TrimLeft(s, " ") {
		n := strings.IndexAny(s, "= ")
		if n < 0 {
			n = len(s)
		}
		attribute, value := s[:n], ""
		if strings.Trim(attribute, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-0123456789") != "" {
			return fmt.Errorf("invalid attribute: %.60q", s)
		}
		s = s[n:]
		if rest, valued := strings.CutPrefix(s, `="`); valued {
			end := strings.IndexByte(rest, '"')
			if end < 0 {
				return fmt.Errorf("unterminated value: %.60q", s)
			}
			var err error
			if value, err = plainText(rest[:end]); err != nil {
				return err
			}
			s = rest[end+1:]
		}
		tag += " " + attribute
		switch attribute {
		case "class":
			tag += "=" + value
		case "id":
			p.ids = append(p.ids, value)
		case "href", "src":
			p.links = append(p.links, value)
		}
	}
	p.tags = append(p.tags, tag)
	return nil
}

// entities are the entities that htmlWriter.text writes.
var entities = []string{"&amp;", "&lt;", "&gt;", "&#34;", "&#39;"}

// plainText returns text with its entities decoded.
func plainText(s string) (string, error) {
	if i := strings.IndexByte(s, '>'); i >= 0 {
		return "", fmt.Errorf("bare > in %.60q", s)
	}
	for rest := s; ; {
		i := strings.IndexByte(rest, '&')
		if i < 0 {
			break
		}
		rest = rest[i:]
		if !slices.ContainsFunc(entities, func(e string) bool { return strings.HasPrefix(rest, e) }) {
			return "", fmt.Errorf("bare & in %.60q", rest)
		}
		rest = rest[1:]
	}
	return html.UnescapeString(s), nil
}
