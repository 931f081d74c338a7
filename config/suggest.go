package config

import (
	"fmt"
	"strings"
)

// Nearest returns the candidate with the smallest edit distance to written. It returns "" if the
// distance exceeds one edit per three characters.
func Nearest(written string, candidates []string) string {
	if len(written) > 64 {
		return "" // longer than any name and expensive to compare
	}
	best, bestDistance := "", (len(written)+2)/3+1
	for _, c := range candidates {
		if d := editDistance(strings.ToLower(written), c); d < bestDistance {
			best, bestDistance = c, d
		}
	}
	return best
}

// editDistance returns the number of insertions, deletions, replacements and transpositions of
// adjacent characters that turn a into b (optimal string alignment).
func editDistance(a, b string) int {
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			replace := rows[i-1][j-1]
			if a[i-1] != b[j-1] {
				replace++
			}
			d := min(rows[i-1][j]+1, rows[i][j-1]+1, replace)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				d = min(d, rows[i-2][j-2]+1)
			}
			rows[i][j] = d
		}
	}
	return rows[len(a)][len(b)]
}

// didYouMean returns "; did you mean NAME?", or "" if name is "".
func didYouMean(name string) string {
	if name == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %s?", name)
}

// elsewhere returns the full key of the setting that has the given name in any table, or "" if
// there is no such setting.
func elsewhere(name string) string {
	for i := range schema {
		if schema[i].name() == name && name != "enabled" {
			return schema[i].key
		}
	}
	return ""
}

// orList returns the end of an error message about an unknown name. It is the suggestion hint or,
// if hint is "", intro followed by all valid names.
func orList(hint, intro string, all []string) string {
	if hint != "" {
		return didYouMean(hint)
	}
	return "; " + intro + " " + strings.Join(all, ", ")
}
