/**
 * The part of zod that is imported when a document of ours is there to be read: named one by one, a build leaves out
 * the rest of it (its messages in fifty languages above all).
 */
export { array, boolean, number, strictObject, string, union } from 'zod'
