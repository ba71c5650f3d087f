/** Imported when there is a config file. The package is CommonJS: in a build, an import() of it has no names. */
export { isMap, LineCounter, parseDocument } from 'yaml'
