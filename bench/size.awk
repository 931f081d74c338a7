# Prints the largest parts of a binary from "go tool nm -size -sort size" of a binary with symbols:
# the code and data of each package. Tables of functions, which the symbols do not contain, and types
# add about as much again.
$3 ~ /^[tTrRdD]$/ && $2 < 30000000 {
	name = $4
	sub(/^type:.*/, "type:", name)
	sub(/\[.*/, "", name)
	slash = 0
	for (i = 1; i <= length(name); i++) {
		c = substr(name, i, 1)
		if (c == "/") slash = i
		if (c == "(") break
	}
	path = substr(name, 1, slash)
	rest = substr(name, slash + 1)
	sub(/\..*/, "", rest)
	size[path rest] += $2
	total += $2
}
END {
	for (p in size) printf "%8d  %s\n", size[p], p | "sort -nr | head -" (LINES ? LINES : 30)
	close("sort -nr | head -" (LINES ? LINES : 30))
	printf "%8d  all symbols\n", total
}
