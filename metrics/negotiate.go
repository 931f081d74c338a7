package metrics

import (
	"strings"
)

// A client says what it likes in header fields that are lists of choices, each
// with a weight: RFC 9110, sections 12.4.2 (weights), 12.5.1 (Accept) and
// 12.5.3 (Accept-Encoding).

// mediaType is a type on offer.
type mediaType struct {
	name    string // "text/plain"
	version string // what a version parameter must say, if there is one
}

// negotiate returns the index of the type that the client likes best; of
// equals, the first. Without a (legible) Accept header that is the first type
// of all. The answer is -1 if no type is acceptable.
func negotiate(accept []string, offers ...mediaType) int {
	best, bestWeight, legible := -1, 0, false
	for i, offer := range offers {
		weight, specific := 0, 0
		for choice, params := range choices(accept) {
			w, ok := weightOf(params)
			s := specificity(choice, params, offer)
			legible = legible || ok && strings.Contains(choice, "/")
			if ok && s > specific {
				weight, specific = w, s
			}
		}
		if weight > bestWeight {
			best, bestWeight = i, weight
		}
	}
	if !legible {
		return 0
	}
	return best
}

// specificity says how closely a choice names the offer: 0 not at all, 1 */*,
// 2 type/*, 3 the type, 4 the type with its version. The closest choice
// decides (RFC 9110, section 12.5.1).
func specificity(choice, params string, offer mediaType) int {
	kind, _, _ := strings.Cut(offer.name, "/")
	switch {
	case choice == "*/*":
		return 1
	case strings.EqualFold(choice, kind+"/*"):
		return 2
	case !strings.EqualFold(choice, offer.name):
		return 0
	}
	version, ok := parameter(params, "version")
	switch {
	case !ok:
		return 3
	case version == offer.version:
		return 4
	}
	return 0
}

// acceptsGzip reports whether the client takes gzip.
func acceptsGzip(acceptEncoding []string) bool {
	any := false
	for coding, params := range choices(acceptEncoding) {
		w, ok := weightOf(params)
		switch {
		case !ok:
		case strings.EqualFold(coding, "gzip"), strings.EqualFold(coding, "x-gzip"):
			return w > 0
		case coding == "*":
			any = w > 0
		}
	}
	return any
}

// choices walks over the elements of a list header, each split into what is
// chosen and its parameters.
func choices(header []string) func(yield func(choice, params string) bool) {
	return func(yield func(choice, params string) bool) {
		for _, line := range header {
			for element := range strings.SplitSeq(line, ",") {
				choice, params, _ := strings.Cut(element, ";")
				if choice = strings.TrimSpace(choice); choice == "" {
					continue
				}
				if !yield(choice, params) {
					return
				}
			}
		}
	}
}

// parameter returns the value of a parameter, without quotes.
func parameter(params, name string) (string, bool) {
	for p := range strings.SplitSeq(params, ";") {
		key, value, _ := strings.Cut(p, "=")
		if strings.EqualFold(strings.TrimSpace(key), name) {
			return strings.Trim(strings.TrimSpace(value), `"`), true
		}
	}
	return "", false
}

// weightOf returns a choice's weight in thousandths: 1000 if there is none,
// and false if there is one that breaks the grammar
//
//	qvalue = ( "0" [ "." 0*3DIGIT ] ) / ( "1" [ "." 0*3("0") ] )
func weightOf(params string) (int, bool) {
	q, ok := parameter(params, "q")
	if !ok {
		return 1000, true
	}
	whole, fraction, _ := strings.Cut(q, ".")
	if whole != "0" && whole != "1" || len(fraction) > 3 || digits(fraction) != len(fraction) {
		return 0, false
	}
	weight := int(whole[0] - '0')
	for i := range 3 {
		weight *= 10
		if i < len(fraction) {
			weight += int(fraction[i] - '0')
		}
	}
	return weight, weight <= 1000
}
