module claude-bottle/betterleaks
go 1.27.4
require github.com/betterleaks/betterleaks v1.0.0
